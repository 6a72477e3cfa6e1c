/** Whether memory grows with the number of runs. */

export type MemorySample = {
  runs: number;
  /**
   * After a full collection. Octets of Buffers are not on the heap and are freed when it pleases the collector; their
   * handles are, so that Buffers which somebody keeps show all the same.
   */
  heapOctets: number;
  rssOctets: number;
};

export type Growth = { heapOctets: number; rssOctets: number };

/**
 * The median of the last quarter against that of the second one: in the first one everything is loaded and compiled.
 * null: too few samples to tell.
 */
export function growthOf(samples: readonly MemorySample[]): Growth | null {
  if (samples.length < 8) return null;
  const quarter = Math.floor(samples.length / 4);
  const early = samples.slice(quarter, quarter * 2);
  const late = samples.slice(-quarter);
  return {
    heapOctets: median(late.map((each) => each.heapOctets)) - median(early.map((each) => each.heapOctets)),
    rssOctets: median(late.map((each) => each.rssOctets)) - median(early.map((each) => each.rssOctets)),
  };
}

/** Compiled code and counters go on growing a little while new blocks are reached. */
const HEAP_OCTETS = 4 * 1024 * 1024;
/** The allocator keeps what it was once given. */
const RSS_OCTETS = 96 * 1024 * 1024;

/** null: none to speak of. `caches`: octets that may be kept besides. */
export function describeGrowth(growth: Growth | null, caches: number): string | null {
  if (growth === null) return null;
  const { heapOctets, rssOctets } = growth;
  if (heapOctets <= HEAP_OCTETS + caches && rssOctets <= RSS_OCTETS + caches) return null;
  return `the heap grew by ${mebi(heapOctets)} MiB and the resident memory by ${mebi(rssOctets)} MiB`;
}

function mebi(octets: number): string {
  return (octets / 1024 / 1024).toFixed(1);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

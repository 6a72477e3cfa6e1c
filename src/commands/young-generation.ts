import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Octets of one of its halves. With a quarter of it messages pass a tenth slower; V8's own bound is four times as much. */
const HALF_OCTETS = 8 * 1024 * 1024;

/**
 * The young generation of V8's heap: what is made before old objects are collected, with the buffers that they hold. V8 gives it
 * more and more room, which stays taken. The option that bounds it works on command lines only; while the program runs, what
 * works is by how much it grows at a time.
 */
export function holdYoungGeneration(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** From now on it has as much room as makes the gateway faster. */
export function boundYoungGeneration(): void {
  let factor = 1;
  const adjust = (): void => {
    const space = getHeapSpaceStatistics().find((each) => each.space_name === 'new_space');
    if (space === undefined) return;
    // What may be used of it, not what is taken from the system: that comes later.
    const half = space.space_used_size + space.space_available_size;
    const needed = half === 0 ? 1 : Math.max(1, Math.floor(HALF_OCTETS / half));
    if (needed === factor) return;
    factor = needed;
    // One step takes it there, and not beyond.
    setFlagsFromString(`--semi-space-growth-factor=${factor}`);
  };
  adjust();
  // It grows and shrinks only where garbage is collected.
  new PerformanceObserver(adjust).observe({ entryTypes: ['gc'] });
}

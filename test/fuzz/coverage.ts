import { type Profiler, Session } from 'node:inspector';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * Which blocks of the code under test have run, by V8's own counters.
 *
 * The counters are read for many runs at once, since reading them takes some milliseconds. A range that is reported with
 * the count 0 has not run since the last reading; what is left of a function that was called has.
 */
type Interval = { start: number; end: number };
export type CoverageSample = ReadonlyMap<string, readonly Interval[]>;

export class Coverage {
  readonly #session = new Session();
  readonly #folder: string;
  /** What has never run of each function that was ever called. */
  readonly #missing = new Map<string, readonly Interval[]>();
  #blocks = 0;

  /** @param folder path of the code under test; what lies elsewhere is not counted */
  constructor(folder: string) {
    this.#folder = `${pathToFileURL(folder).href}/`;
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', {
      callCount: true,
      detailed: true,
      allowTriggeredUpdates: false,
    });
  }

  /** Functions called, and further blocks in them that ran later. */
  get blocks(): number {
    return this.#blocks;
  }

  /** What has run since the last sample: what is missing of each function that was called. */
  sample(): CoverageSample {
    const { result } = this.#post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
    const found = new Map<string, Interval[]>();
    for (const { url, functions } of result) {
      if (!url.startsWith(this.#folder)) continue;
      for (const { ranges } of functions) {
        const [whole, ...inner] = ranges;
        if (whole === undefined || whole.count === 0) continue;
        found.set(`${url}:${whole.startOffset}`, notRun(inner));
      }
    }
    return found;
  }

  /** Whether the sample shows anything that never ran before. */
  isNews(sample: CoverageSample): boolean {
    for (const [name, missing] of sample) {
      const known = this.#missing.get(name);
      if (known === undefined || sizeOf(common(known, missing)) < sizeOf(known)) return true;
    }
    return false;
  }

  remember(sample: CoverageSample): void {
    for (const [name, missing] of sample) {
      const known = this.#missing.get(name);
      if (known === undefined) {
        this.#missing.set(name, missing);
        this.#blocks++;
        continue;
      }
      const left = common(known, missing);
      if (sizeOf(left) === sizeOf(known)) continue;
      this.#blocks++;
      this.#missing.set(name, left);
    }
  }

  /** Places that never ran, `path:offset`, for whoever wants to know what no input reaches. */
  *neverRun(): Generator<string> {
    for (const [name, missing] of this.#missing) {
      const path = fileURLToPath(name.replace(/:\d+$/, ''));
      for (const { start, end } of missing) yield `${path}:${start}-${end}`;
    }
  }

  close(): void {
    this.#session.disconnect();
  }

  #post(method: string, parameters?: object): unknown {
    let answer: unknown;
    let failure: Error | null = null;
    // A session on the own thread answers before post returns.
    this.#session.post(method, parameters, (error, result) => {
      failure = error;
      answer = result;
    });
    if (failure !== null) throw failure;
    return answer;
  }
}

/** Ranges lie in one another and the innermost counts; what ran inside a range that did not cannot be. */
function notRun(ranges: readonly Profiler.CoverageRange[]): Interval[] {
  const found: Interval[] = [];
  for (const { startOffset: start, endOffset: end, count } of ranges) {
    if (count === 0 && start < end) found.push({ start, end });
  }
  return found.sort((a, b) => a.start - b.start);
}

function common(one: readonly Interval[], other: readonly Interval[]): Interval[] {
  const found: Interval[] = [];
  let i = 0;
  let j = 0;
  for (;;) {
    const a = one[i];
    const b = other[j];
    if (a === undefined || b === undefined) return found;
    const start = Math.max(a.start, b.start);
    const end = Math.min(a.end, b.end);
    if (start < end) found.push({ start, end });
    if (a.end < b.end) i++;
    else j++;
  }
}

function sizeOf(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, { start, end }) => sum + end - start, 0);
}

import type { InputForm } from './mutate.ts';

/** One parser as the fuzzer sees it. */
export type FuzzTarget = {
  /** Folder and what is read: `cms-signed-data`. */
  name: string;
  form: InputForm;
  /** Codes of the SealgateErrors that may come out; a code that ends with a dot stands for all that begin so. */
  allowed: readonly string[];
  dictionary?: readonly (string | Uint8Array)[];
  /** Longest input; 64 KiB when absent. */
  maxOctets?: number;
  /** Longest run of one input: so many milliseconds, and so many microseconds for each octet; 50 and 1 when absent. */
  budget?: { ms: number; usPerOctet: number };
  /** How much the heap may grow for caches that have a bound, octets. */
  caches?: number;
  /** Longest time for one input before it counts as a hang, where a budget is larger than is usual. */
  hangMs?: number;
  prepare(): PreparedTarget | Promise<PreparedTarget>;
};

export type PreparedTarget = {
  /** Inputs to begin with, made now: by other programs, by our own writers, from the corpora. */
  seeds: readonly Uint8Array[];
  /**
   * Reads the input and checks what must hold of the answer (`holds`). The answer is compared with that to the same
   * octets in another place of memory; anything but a SealgateError that is allowed is a finding.
   */
  run(input: Buffer): unknown;
  close?(): void;
};

/** A property that does not hold; the fuzzer reports it like a crash. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

export function holds(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Violation(what);
}

/** Whether a range lies in `length` octets. */
export function liesIn({ start, end }: { start: number; end: number }, length: number): boolean {
  return Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end && end <= length;
}

/** Whether `part` is a view on `whole`. */
export function isViewOf(part: Uint8Array, whole: Uint8Array): boolean {
  return (
    part.buffer === whole.buffer &&
    part.byteOffset >= whole.byteOffset &&
    part.byteOffset + part.byteLength <= whole.byteOffset + whole.byteLength
  );
}

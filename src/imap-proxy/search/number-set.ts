/**
 * A set of UIDs or message numbers (RFC 9051 §9, sequence-set), as large as a mailbox.
 *
 * Kept as the places where membership changes, in rising order: [from, after, from, after, …]. So a hundred thousand numbers
 * in a row take two places, and every operation is one walk.
 */
export class NumberSet {
  readonly #changes: readonly number[];

  private constructor(changes: readonly number[]) {
    this.#changes = changes;
  }

  static readonly empty = new NumberSet([]);

  /** Numbers in any order, some perhaps twice. */
  static of(numbers: Iterable<number>): NumberSet {
    const sorted = Float64Array.from(numbers).sort();
    const changes: number[] = [];
    for (const number of sorted) {
      if (changes.length > 0 && number < (changes.at(-1) ?? 0)) continue;
      if (changes.at(-1) === number) changes[changes.length - 1] = number + 1;
      else changes.push(number, number + 1);
    }
    return new NumberSet(changes);
  }

  static range(from: number, to: number): NumberSet {
    return new NumberSet([Math.min(from, to), Math.max(from, to) + 1]);
  }

  /** null: not a sequence-set, or one with `*` or `$`, which stand for what only the server knows. */
  static read(text: string): NumberSet | null {
    if (!/^[1-9][0-9]{0,9}(?:[:,][1-9][0-9]{0,9})*$/.test(text)) return null;
    const ranges: [number, number][] = [];
    for (const range of text.split(',')) {
      const [one = 0, other = one, more] = range.split(':').map(Number);
      if (more !== undefined || Math.max(one, other) > HIGHEST_NUMBER) return null;
      ranges.push([Math.min(one, other), Math.max(one, other)]);
    }
    ranges.sort(([a], [b]) => a - b);
    const changes: number[] = [];
    for (const [from, to] of ranges) {
      const end = changes.at(-1);
      if (end !== undefined && from <= end) changes[changes.length - 1] = Math.max(end, to + 1);
      else changes.push(from, to + 1);
    }
    return new NumberSet(changes);
  }

  get isEmpty(): boolean {
    return this.#changes.length === 0;
  }

  get size(): number {
    let size = 0;
    for (const [from, to] of this.ranges()) size += to - from + 1;
    return size;
  }

  /** null: there is none. */
  get min(): number | null {
    return this.#changes[0] ?? null;
  }

  /** null: there is none. */
  get max(): number | null {
    const after = this.#changes.at(-1);
    return after === undefined ? null : after - 1;
  }

  has(number: number): boolean {
    let low = 0;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#changes[middle] ?? 0) <= number) low = middle + 1;
      else high = middle;
    }
    return low % 2 === 1;
  }

  or(other: NumberSet): NumberSet {
    return this.#with(other, (a, b) => a || b);
  }

  and(other: NumberSet): NumberSet {
    return this.#with(other, (a, b) => a && b);
  }

  minus(other: NumberSet): NumberSet {
    return this.#with(other, (a, b) => a && !b);
  }

  /** What is in one of both only. */
  xor(other: NumberSet): NumberSet {
    return this.#with(other, (a, b) => a !== b);
  }

  equals(other: NumberSet): boolean {
    return this.xor(other).isEmpty;
  }

  /** First and last numbers of each row without a gap. */
  *ranges(): Generator<[number, number]> {
    const changes = this.#changes;
    for (let i = 0; i + 1 < changes.length; i += 2) yield [changes[i] ?? 0, (changes[i + 1] ?? 0) - 1];
  }

  *[Symbol.iterator](): Generator<number> {
    for (const [from, to] of this.ranges()) for (let number = from; number <= to; number++) yield number;
  }

  /** The numbers at these places, counted from 0, `end` not among them. */
  slice(start: number, end: number): NumberSet {
    const changes: number[] = [];
    let at = 0;
    for (const [from, to] of this.ranges()) {
      const count = to - from + 1;
      const first = Math.max(start - at, 0);
      const after = Math.min(end - at, count);
      if (first < after) changes.push(from + first, from + after);
      at += count;
      if (at >= end) break;
    }
    return new NumberSet(changes);
  }

  /** As a sequence-set; '' for the empty one, which has no such form. */
  toString(): string {
    const parts: string[] = [];
    for (const [from, to] of this.ranges()) parts.push(from === to ? `${from}` : `${from}:${to}`);
    return parts.join(',');
  }

  /** Parts that are at most so long when written, in rising order. `characters` is enough for one range. */
  pieces(characters: number): NumberSet[] {
    const pieces: NumberSet[] = [];
    let changes: number[] = [];
    let length = 0;
    for (const [from, to] of this.ranges()) {
      const more = from === to ? `${from}`.length : `${from}:${to}`.length;
      if (changes.length > 0 && length + 1 + more > characters) {
        pieces.push(new NumberSet(changes));
        changes = [];
        length = 0;
      }
      length += more + (changes.length === 0 ? 0 : 1);
      changes.push(from, to + 1);
    }
    if (changes.length > 0) pieces.push(new NumberSet(changes));
    return pieces;
  }

  #with(other: NumberSet, keep: (inThis: boolean, inOther: boolean) => boolean): NumberSet {
    const [a, b] = [this.#changes, other.#changes];
    const changes: number[] = [];
    let [i, j] = [0, 0];
    let inside = false;
    while (i < a.length || j < b.length) {
      const at = Math.min(a[i] ?? Number.POSITIVE_INFINITY, b[j] ?? Number.POSITIVE_INFINITY);
      if (a[i] === at) i++;
      if (b[j] === at) j++;
      if (keep(i % 2 === 1, j % 2 === 1) !== inside) {
        inside = !inside;
        changes.push(at);
      }
    }
    return new NumberSet(changes);
  }
}

/** RFC 9051 §9, nz-number: 32 bits. */
export const HIGHEST_NUMBER = 4_294_967_295;

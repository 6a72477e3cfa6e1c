import { octetsInMemory } from '../octets/buffer-source.ts';
import { borrowed } from '../octets/scan.ts';
import type { OctetSource } from '../octets/source.ts';
import { TimeSlice } from '../octets/time-slice.ts';
import type { Entity, Range } from './entity.ts';
import { newTreeBudget, type TreeBudget, type Window } from './entity-scanner.ts';
import { readEntity, scanEntity } from './entity-tree.ts';

/**
 * The tree of MIME entities of a message that may be larger than memory should hold, by the grammar of entity-tree.ts.
 *
 * Holds: what is in memory is the fields of the headers and a window of the octets that is never larger than a header and some
 * chunks. Bodies are ranges.
 */

/**
 * `readEntity` for a source of any length; ranges in the result count from the start of the source.
 *
 * @throws as `readMessage`; the source's own
 */
export function readEntityFrom(
  source: OctetSource,
  range: Range = { start: 0, end: source.length },
  budget: TreeBudget = newTreeBudget(),
  slice?: TimeSlice,
): Promise<Entity> {
  return scanSource(source, range, budget, 'tree', slice);
}

/** The root entity of a message without its parts: reads the header and no more. @throws as `readEntityFrom` */
export function readRootFrom(source: OctetSource): Promise<Entity> {
  return scanSource(source, { start: 0, end: source.length }, newTreeBudget(), 'root');
}

async function scanSource(
  source: OctetSource,
  range: Range,
  budget: TreeBudget,
  depth: 'tree' | 'root',
  slice: TimeSlice = new TimeSlice(),
): Promise<Entity> {
  const octets = octetsInMemory(source);
  if (octets !== null) {
    if (depth === 'root' || range.end - range.start <= STEP_OCTETS)
      return readEntity(octets, range, budget, depth);
    return await scanInTurns(octets.subarray(0, range.end), range.start, budget, slice);
  }
  const window = new SlidingWindow(range);
  const scanning = scanEntity(window, range.start, budget, depth);
  let step = scanning.next();
  let enough = 0;
  for await (const chunk of borrowed(source, range.start, range.end)) {
    for (let at = 0; at < chunk.length && step.done !== true; at += STEP_OCTETS) {
      window.moveTo(step.value, chunk.subarray(at, at + STEP_OCTETS));
      // What is kept is looked at again from its beginning: twice as much each time, so that small chunks cost no more than large ones.
      if (!window.last && window.octets.length < enough) continue;
      step = scanning.next();
      if (step.done !== true) enough = 2 * (window.base + window.octets.length - step.value);
      await slice.over();
    }
    if (step.done === true) return step.value;
  }
  if (step.done !== true) throw new Error('a source ended before its length');
  return step.value;
}

/** Octets that are read without giving others their turn; a part has ten or more. */
const STEP_OCTETS = 16 * 1024;

/** The same for octets that are all there, but not all looked at at once. */
async function scanInTurns(
  octets: Buffer,
  start: number,
  budget: TreeBudget,
  slice: TimeSlice,
): Promise<Entity> {
  const window = new GrowingWindow(octets, start + STEP_OCTETS);
  const scanning = scanEntity(window, start, budget);
  for (;;) {
    const step = scanning.next();
    if (step.done === true) return step.value;
    // Twice as much each time, as below.
    const seen = window.octets.length;
    window.growTo(seen + Math.max(STEP_OCTETS, seen - step.value));
    await slice.over();
  }
}

class GrowingWindow implements Window {
  readonly base = 0;
  readonly total: number;
  octets: Buffer;
  readonly #all: Buffer;

  constructor(all: Buffer, end: number) {
    this.#all = all;
    this.total = all.length;
    this.octets = all.subarray(0, end);
  }

  get last(): boolean {
    return this.octets.length === this.total;
  }

  growTo(end: number): void {
    this.octets = this.#all.subarray(0, end);
  }
}

const WINDOW_OCTETS = 160 * 1024;

class SlidingWindow implements Window {
  base: number;
  last: boolean;
  readonly total: number;
  octets: Buffer;
  #room = Buffer.allocUnsafeSlow(WINDOW_OCTETS);

  constructor({ start, end }: Range) {
    this.base = start;
    this.total = end;
    this.last = start === end;
    this.octets = this.#room.subarray(0, 0);
  }

  /** Lets go of what is before `keep`, and adds octets. */
  moveTo(keep: number, octets: Buffer): void {
    const kept = this.octets.subarray(Math.max(0, keep - this.base));
    const length = kept.length + octets.length;
    const room = length <= this.#room.length ? this.#room : Buffer.allocUnsafeSlow(length * 2);
    this.base += this.octets.length - kept.length;
    room.set(kept);
    room.set(octets, kept.length);
    this.#room = room;
    this.octets = room.subarray(0, length);
    this.last = this.base + length >= this.total;
  }
}

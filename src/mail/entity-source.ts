import { octetsInMemory } from '../octets/buffer-source.ts';
import { scan } from '../octets/scan.ts';
import type { OctetSource } from '../octets/source.ts';
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
): Promise<Entity> {
  return scanSource(source, range, budget, 'tree');
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
): Promise<Entity> {
  const octets = octetsInMemory(source);
  if (octets !== null) return readEntity(octets, range, budget, depth);
  const window = new SlidingWindow(range);
  const scanning = scanEntity(window, range.start, budget, depth);
  let step = scanning.next();
  let enough = 0;
  await scan(
    source,
    (octets) => {
      if (step.done === true) return 'stop';
      window.moveTo(step.value, octets);
      // What is kept is looked at again from its beginning: twice as much each time, so that small chunks cost no more than large ones.
      if (!window.last && window.octets.length < enough) return undefined;
      step = scanning.next();
      if (step.done === true) return 'stop';
      enough = 2 * (window.base + window.octets.length - step.value);
      return undefined;
    },
    range.start,
    range.end,
  );
  if (step.done !== true) throw new Error('a source ended before its length');
  return step.value;
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

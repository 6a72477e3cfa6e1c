import { type Lane, RETRIES } from './ports.ts';

/**
 * Whose turn it is of those who may begin something. Pure.
 *
 * Holds: senders take turns among each other, and all of them with what was tried before; nobody has more under way than is left for the
 * others, so that whoever comes next can begin at once, however much waits and however long it takes.
 */
export class Turns<T extends object> {
  /** Under way at once, in all lanes. */
  readonly #most: number;
  /** In the order of their turns; those where nobody waits are not there. */
  readonly #rings = new Map<Lane, Ring<T>>();
  readonly #busy = new Map<Lane, number>();
  #total = 0;
  #retriesNext = false;

  constructor(most: number) {
    this.#most = most;
  }

  /** @param isNew it has not waited yet: every second turn of a lane is for whoever came last, so that what is new waits for no backlog */
  add(lane: Lane, one: T, isNew: boolean): void {
    let ring = this.#rings.get(lane);
    if (ring === undefined) {
      ring = new Ring();
      this.#rings.set(lane, ring);
    }
    ring.add(one, isNew);
  }

  /** Whether one of this lane may begin. */
  mayBegin(lane: Lane): boolean {
    return (this.#busy.get(lane) ?? 0) < this.#most - this.#total;
  }

  /** Takes the next one out. `room`: for how many. null: nobody is there who may begin. */
  next(): { lane: Lane; one: T; room: number } | null {
    const lane = this.#laneNext();
    if (lane === null) return null;
    this.#retriesNext = lane !== RETRIES;
    const ring = this.#rings.get(lane);
    const one = ring?.take() ?? null;
    if (ring === undefined || one === null) return null;
    this.#rings.delete(lane);
    if (ring.size > 0) this.#rings.set(lane, ring);
    const left = this.#most - this.#total - (this.#busy.get(lane) ?? 0);
    return { lane, one, room: Math.max(1, (left + 1) >> 1) };
  }

  begun(lane: Lane, count: number): void {
    this.#total += count;
    if (count > 0) this.#busy.set(lane, (this.#busy.get(lane) ?? 0) + count);
  }

  ended(lane: Lane): void {
    this.#total--;
    const left = (this.#busy.get(lane) ?? 0) - 1;
    if (left > 0) this.#busy.set(lane, left);
    else this.#busy.delete(lane);
  }

  #laneNext(): Lane | null {
    const retries = this.#rings.has(RETRIES) && this.mayBegin(RETRIES);
    if (retries && this.#retriesNext) return RETRIES;
    for (const lane of this.#rings.keys()) {
      if (lane !== RETRIES && this.mayBegin(lane)) return lane;
      if (this.#total >= this.#most) return null;
    }
    return retries ? RETRIES : null;
  }
}

class Ring<T extends object> {
  readonly #waiting = new Set<T>();
  /** Last come, last; some may be gone meanwhile. */
  #newest: T[] = [];
  #isForNewest = true;

  get size(): number {
    return this.#waiting.size;
  }

  add(one: T, isNew: boolean): void {
    this.#waiting.add(one);
    if (!isNew) return;
    this.#newest.push(one);
    if (this.#newest.length > 64 + 2 * this.size) {
      this.#newest = this.#newest.filter((other) => this.#waiting.has(other));
    }
  }

  take(): T | null {
    const one = (this.#isForNewest ? this.#last() : null) ?? this.#first();
    this.#isForNewest = !this.#isForNewest;
    if (one !== null) this.#waiting.delete(one);
    return one;
  }

  #first(): T | null {
    const [first = null] = this.#waiting;
    return first;
  }

  #last(): T | null {
    for (;;) {
      const last = this.#newest.pop();
      if (last === undefined) return null;
      if (this.#waiting.has(last)) return last;
    }
  }
}

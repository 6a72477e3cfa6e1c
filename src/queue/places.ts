import type { Destination, Due, Place } from './ports.ts';
import { pauseAfter } from './schedule.ts';

/**
 * Which place has its turn, as far as this gateway knows: what is due there, what is under way, and whether it is away. Pure.
 *
 * Holds: places take turns, so that one for which much waits keeps no other from its own; a place that is away is asked for one delivery
 * when its pause is over, and for none before.
 */
export class Places {
  /** In the order of their turns. */
  readonly #places = new Map<string, State>();
  readonly #atOnce: (place: Place) => number;

  /** @param atOnce deliveries that may be under way at a place */
  constructor(atOnce: (place: Place) => number) {
    this.#atOnce = atOnce;
  }

  /** Something may be due there at that time. */
  expect({ place, at }: Due): void {
    const known = this.#of(place);
    known.dueAt = Math.min(known.dueAt, at.getTime());
  }

  /** Somebody wants it called now, though it was found away. */
  resume(destination: Destination): void {
    for (const one of this.#places.values()) if (one.place.destination === destination) one.pause = null;
  }

  /** Whose turn it is, and for how many; null: nobody's. */
  next(now: Date): Turn | null {
    for (const [key, one] of this.#places) {
      const turn = this.#turnOf(one, now.getTime());
      if (turn === null) continue;
      this.#places.delete(key);
      this.#places.set(key, one);
      return turn;
    }
    return null;
  }

  #turnOf(one: State, now: number): Turn | null {
    const { place, busy, pause } = one;
    const room = this.#atOnce(place) - busy;
    if (room <= 0) return null;
    if (pause === null || now >= pause.until || pause.until - now > pause.most) {
      if (one.dueAt > now) return null;
      // Whether it is there again, one delivery tells.
      if (pause !== null && busy > 0) return null;
      return { place, room: pause === null ? room : 1, which: 'due', because: null };
    }
    if (pause.overdueAt > now) return null;
    return { place, room, which: 'overdue', because: pause.because };
  }

  /** What was claimed at a turn, and when the next is due there as the rows have it; null: nothing more is. */
  claimed({ place, which }: Turn, claims: number, nextAt: Date | null, now: Date): void {
    const one = this.#of(place);
    one.busy += claims;
    if (which === 'overdue' && one.pause !== null) {
      // Looked for again with the next look through everything.
      if (claims === 0) one.pause.overdueAt = now.getTime() + OVERDUE_EVERY_MS;
      return;
    }
    one.dueAt = nextAt === null ? Number.POSITIVE_INFINITY : nextAt.getTime();
  }

  /** A delivery has ended. `away`: why nothing can be taken there for the moment; null: it was there; absent: nobody knows. */
  ended(place: Place, { away, now }: { away?: string | null; now: Date }): PauseChange | null {
    const one = this.#of(place);
    one.busy--;
    const former = one.pause;
    if (away === null) one.pause = null;
    if (typeof away === 'string') one.pause = pausedFrom(former, away, now.getTime());
    if (one.pause === null) return former === null ? null : { kind: 'resumed' };
    if (one.pause.times === former?.times) return null;
    return { kind: 'paused', because: one.pause.because, until: new Date(one.pause.until) };
  }

  /** When some place may have its turn again, if nothing ends and nothing comes; null: nothing waits. */
  nextAt(now: Date): Date | null {
    let first = Number.POSITIVE_INFINITY;
    for (const { dueAt, pause, busy, place } of this.#places.values()) {
      if (busy >= this.#atOnce(place)) continue;
      const at = pause === null ? dueAt : Math.min(Math.max(dueAt, pause.until), pause.overdueAt);
      first = Math.min(first, at);
    }
    return Number.isFinite(first) ? new Date(Math.max(first, now.getTime())) : null;
  }

  /** Forgets places of which nothing is known any more but their names. */
  forgetIdle(now: Date): void {
    for (const [key, { busy, dueAt, pause }] of this.#places) {
      const isOver = pause === null || now.getTime() - pause.until > pause.most;
      if (busy === 0 && !Number.isFinite(dueAt) && isOver) this.#places.delete(key);
    }
  }

  #of(place: Place): State {
    const key = `${place.kind} ${place.destination}`;
    let one = this.#places.get(key);
    if (one === undefined) {
      one = { place, busy: 0, dueAt: Number.POSITIVE_INFINITY, pause: null };
      this.#places.set(key, one);
    }
    return one;
  }
}

export type Turn = {
  place: Place;
  /** How many may be claimed. */
  room: number;
  which: 'due' | 'overdue';
  /** The place is away: nothing is sent there, and this is what is said of what is overdue. */
  because: string | null;
};

/** For the log. */
export type PauseChange = { kind: 'resumed' } | { kind: 'paused'; because: string; until: Date };

type State = {
  place: Place;
  busy: number;
  /** The earliest time at which something may be due, ms. */
  dueAt: number;
  pause: Pause | null;
};

type Pause = { times: number; until: number; most: number; because: string; overdueAt: number };

const OVERDUE_EVERY_MS = 10_000;

/** Several that were under way when it went away are one time. */
function pausedFrom(former: Pause | null, because: string, now: number): Pause {
  if (former !== null && now < former.until) return { ...former, because };
  const times = (former?.times ?? 0) + 1;
  const most = pauseAfter(times);
  return { times, until: now + most, most, because, overdueAt: now };
}

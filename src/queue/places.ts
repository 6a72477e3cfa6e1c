import { limits } from '../limits.ts';
import { DueTimes } from './due-times.ts';
import { isOver, type Pause, type PauseChange, pausedFrom } from './pause.ts';
import { type Destination, type Lane, type Line, type Place, RETRIES } from './ports.ts';
import { Turns } from './turns.ts';

/**
 * Which line has its turn, as far as this gateway knows: what is due there, what is under way, and whether its place is away. Pure.
 *
 * Holds: senders take turns (turns.ts), and so do the places of one sender and the senders at one place, so that nobody waits because much
 * waits for others; a place that is away is asked for one delivery when its pause is over, among what was tried before, and for none before.
 * What is known is bounded: what finds no room is found again by looking at all rows.
 */
export class Places {
  readonly #atOnce: (place: Place) => number;
  readonly #most: number;
  readonly #turns: Turns<Waiting>;
  readonly #places = new Map<string, State>();
  readonly #times = new DueTimes<Waiting | State>();
  #lines = 0;
  #latest = 0;

  /**
   * @param atOnce deliveries that may be under way at a place
   * @param underWay and in all
   * @param most lines that are kept in mind
   */
  constructor(atOnce: (place: Place) => number, underWay: number, most: number = limits.queue.lines) {
    this.#atOnce = atOnce;
    this.#turns = new Turns(underWay);
    this.#most = most;
  }

  /** Something may be due there at that time. @returns false: there was no room to keep it in mind */
  expect({ place, lane }: Line, at: Date, now: Date): boolean {
    const time = at.getTime();
    const state = this.#of(place);
    let line = state.lines.get(lane);
    if (line === undefined) {
      if (!this.#hasRoom(lane, time - now.getTime())) return time > now.getTime();
      line = {
        kind: 'line',
        place: state,
        lane,
        dueAt: Number.POSITIVE_INFINITY,
        where: 'later',
        isNew: true,
      };
      state.lines.set(lane, line);
      this.#lines++;
    }
    if (time >= line.dueAt) return true;
    line.dueAt = time;
    if (line.where === 'later') this.#times.add(time, line);
    return true;
  }

  /** Somebody wants it called now, though it was found away. */
  resume(destination: Destination): void {
    for (const kind of ['smtp', 'append'] as const) {
      const state = this.#places.get(keyOf({ kind, destination }));
      if (state === undefined) continue;
      state.pause = null;
      this.#letOn(state, this.#latest);
    }
  }

  /** Whose turn it is, and for how many; null: nobody's. */
  next(now: Date): Turn | null {
    const time = now.getTime();
    this.#heed(time);
    for (let due = this.#times.take(time); due !== null; due = this.#times.take(time)) {
      const { what, at } = due;
      if (what.kind === 'place') {
        if (what.pause?.until === at) this.#letOn(what, time);
      } else if (what.where === 'later' && what.dueAt === at) this.#ready(what, time);
    }
    for (let next = this.#turns.next(); next !== null; next = this.#turns.next()) {
      const turn = this.#turnOf(next, time);
      if (turn !== null) return turn;
    }
    return null;
  }

  #turnOf(
    { one, lane: account, room: most }: { one: Waiting; lane: Lane; room: number },
    now: number,
  ): Turn | null {
    const { place: state, lane } = one;
    const { place, pause, busy } = state;
    const left = this.#atOnce(place) - busy;
    if (lane === null) {
      one.where = 'later';
      if (pause === null || isOver(pause, now)) return null;
      if (left > 0)
        return {
          line: one,
          place,
          account,
          which: 'overdue',
          room: Math.min(left, most),
          because: pause.because,
        };
      this.#wait(one);
      return null;
    }
    const mayProbe = pause !== null && isOver(pause, now) && busy === 0;
    // It had its turn before its place went away, which may be there again by now.
    if (mayProbe) state.probe ??= one;
    const isProbe = mayProbe && state.probe === one;
    if (left <= 0 || (pause !== null && !isProbe)) {
      this.#wait(one);
      return null;
    }
    one.where = 'turn';
    one.dueAt = Number.POSITIVE_INFINITY;
    // Where others wait too, each has one at a time.
    const room = pause !== null || state.lines.size > 1 ? 1 : Math.min(left, most);
    return { line: one, place, account, which: { lane }, room, because: null };
  }

  /** What was claimed at a turn, and when the next is due in that line as the rows have it; null: nothing more is. */
  claimed({ line, which, account, room }: Turn, claims: number, nextAt: Date | null, now: Date): void {
    const { place: state } = line;
    state.busy += claims;
    this.#turns.begun(account, claims);
    if (which === 'overdue') {
      if (claims === room) this.#turns.add(RETRIES, line, false);
      return;
    }
    line.where = 'later';
    line.isNew = false;
    line.dueAt = Math.min(line.dueAt, nextAt?.getTime() ?? Number.POSITIVE_INFINITY);
    if (Number.isFinite(line.dueAt)) this.#times.add(line.dueAt, line);
    else if (state.lines.delete(which.lane)) this.#lines--;
    if (claims > 0 && (claims === room || state.probe === line)) return;
    // The room that it was given is for another one.
    if (state.probe === line) state.probe = null;
    this.#letOn(state, now.getTime());
  }

  /** A delivery has ended. `away`: why nothing can be taken there for the moment; null: it was there; absent: nobody knows. */
  ended({ line, account }: Turn, { away, now }: { away?: string | null; now: Date }): PauseChange | null {
    const { place: state } = line;
    state.busy--;
    state.probe = null;
    this.#turns.ended(account);
    const former = state.pause;
    if (away === null) state.pause = null;
    if (typeof away === 'string') state.pause = pausedFrom(former, away, now.getTime());
    const { pause } = state;
    this.#letOn(state, now.getTime());
    if (pause === null) return former === null ? null : { kind: 'resumed' };
    if (pause.times === former?.times) return null;
    this.#times.add(pause.until, state);
    // What may not wait with the rest is looked for once in each pause.
    this.#turns.add(RETRIES, { ...OVERDUE, place: state }, false);
    return { kind: 'paused', because: pause.because, until: new Date(pause.until) };
  }

  /** When some line may have its turn again, if nothing ends and nothing comes; null: nothing waits. To be asked after `next`. */
  nextAt(now: Date): Date | null {
    const { first } = this.#times;
    return first === null ? null : new Date(Math.max(first, now.getTime()));
  }

  /** Forgets places of which nothing is known any more but their names; where there are too many, also those that were found away. */
  forgetIdle(now: Date): void {
    for (const [key, { busy, lines, pause }] of this.#places) {
      const isLong =
        pause === null || now.getTime() - pause.until > pause.most || this.#places.size > 2 * this.#most;
      if (busy === 0 && lines.size === 0 && isLong) this.#places.delete(key);
    }
  }

  /** What is not due for long need not be known of yet. New mail has room that retries do not take. */
  #hasRoom(lane: Lane, inMs: number): boolean {
    if (inMs > FORESEEN_MS) return this.#lines < this.#most / 2;
    return this.#lines < (lane === RETRIES ? this.#most : 2 * this.#most);
  }

  /** Due: it has its turn, or waits for its place. */
  #ready(line: Waiting, now: number): void {
    const { place: state, lane, isNew } = line;
    if (state.pause !== null) {
      if (!isOver(state.pause, now) || state.busy > 0 || state.probe !== null) {
        this.#wait(line);
        return;
      }
      // Whether it is there again, one delivery tells.
      state.probe = line;
    }
    line.where = 'ring';
    line.isNew = false;
    this.#turns.add(state.pause === null ? (lane ?? RETRIES) : RETRIES, line, isNew);
  }

  #wait(line: Waiting): void {
    if (line.place.probe === line) line.place.probe = null;
    line.where = 'place';
    line.place.waiting.add(line);
  }

  /** As many as its place has room for, longest waiting first. Those who may not begin yet take nobody's room. */
  #letOn(state: State, now: number): void {
    const { pause, waiting } = state;
    if (pause !== null && !isOver(pause, now)) return;
    let room = pause === null ? this.#atOnce(state.place) - state.busy : 1;
    for (const line of waiting) {
      if (room <= 0) return;
      waiting.delete(line);
      // What is overdue is looked for while the place is away, and tells nothing of whether it is there again.
      if (line.lane === null) continue;
      this.#ready(line, now);
      if (pause !== null || this.#turns.mayBegin(line.lane ?? RETRIES)) room--;
    }
  }

  /** A clock that is set back: pauses are over that would be longer than they were. */
  #heed(now: number): void {
    const isSetBack = now < this.#latest;
    this.#latest = now;
    if (isSetBack) for (const state of this.#places.values()) this.#letOn(state, now);
  }

  #of(place: Place): State {
    const key = keyOf(place);
    let one = this.#places.get(key);
    if (one === undefined) {
      one = { kind: 'place', place, busy: 0, pause: null, probe: null, lines: new Map(), waiting: new Set() };
      this.#places.set(key, one);
    }
    return one;
  }
}

export type Turn = {
  line: Waiting;
  place: Place;
  /** In whose name it is under way. */
  account: Lane;
  /** How many may be claimed. */
  room: number;
  which: { lane: Lane } | 'overdue';
  /** The place is away: nothing is sent there, and this is what is said of what is overdue. */
  because: string | null;
};

type State = {
  kind: 'place';
  place: Place;
  busy: number;
  pause: Pause | null;
  /** By which it is found out whether the place is there again. */
  probe: Waiting | null;
  lines: Map<Lane, Waiting>;
  /** Due, and there was no room at the place. */
  waiting: Set<Waiting>;
};

type Waiting = {
  kind: 'line';
  place: State;
  /** null: what is overdue, of all. */
  lane: Lane | null;
  /** The earliest time at which something may be due, ms. */
  dueAt: number;
  /** Where it waits: for its time, for its turn, for its place, or for what is claimed. */
  where: 'later' | 'ring' | 'place' | 'turn';
  /** It has not had a turn yet. */
  isNew: boolean;
};

const OVERDUE = { kind: 'line', lane: null, dueAt: 0, where: 'ring', isNew: false } as const;

/** What is due within this time is kept in mind in any case. */
const FORESEEN_MS = 120_000;

function keyOf({ kind, destination }: Place): string {
  return `${kind} ${destination}`;
}

import { limits } from '../limits.ts';

/** A place among the messages that are being opened. */
export type Place = {
  /** Gives it back, once; further calls do nothing. */
  leave(): void;
  /**
   * The message waits for a person now, as long as that takes: it makes room for those that do not. false: too much waits
   * already, and the message has to be let go.
   */
  wait(): boolean;
};

/** How many at a time, of all logins together and of each. */
export type OpeningLimits = {
  opening: { all: number; each: number };
  /** While somebody types a PIN. */
  waiting: { all: number; each: number };
};

/** Logins whose last turn is known; others had theirs longer ago. */
const REMEMBERED_TURNS = 10_000;

/** Who waits for a place. */
type Waiting = { login: string; admit: (place: Place) => void };

/**
 * How many messages the sessions of all listeners gather and open at a time. Their octets lie in spools, so what is bounded is the
 * work and the files. Messages that wait for a PIN are counted apart, for each login: whoever does not type one holds up nobody else.
 *
 * Holds: a free place goes to the login that has the fewest, of those to the one whose last turn is the longest ago, and within a
 * login to whoever has waited longest. A session asks for one message at a time, so however many sessions a login has, and however
 * many messages each of them asks for, between two turns of another login it gets one.
 */
export class Openings {
  readonly #opening: Counted;
  readonly #waiting: Counted;
  #queue: Waiting[] = [];
  /** The number of each login's last turn, the oldest first. */
  readonly #lastTurns = new Map<string, number>();
  #turns = 0;

  constructor({ opening, waiting }: OpeningLimits = limits.view.openings) {
    this.#opening = new Counted(opening);
    this.#waiting = new Counted(waiting);
  }

  /** `ended`: nobody waits any more; false then. */
  enter(login: string, ended: AbortSignal): Promise<Place | null> {
    if (ended.aborted) return Promise.resolve(null);
    // With a free place, only logins wait that have all of theirs.
    if (this.#opening.hasRoomFor(login)) return Promise.resolve(this.#begin(login));
    return new Promise((resolve) => {
      const settle = (place: Place | null): void => {
        ended.removeEventListener('abort', abandon);
        resolve(place);
      };
      const entry = { login, admit: settle };
      const abandon = (): void => {
        this.#queue = this.#queue.filter((each) => each !== entry);
        settle(null);
      };
      ended.addEventListener('abort', abandon);
      this.#queue.push(entry);
    });
  }

  /** Whether a message may be opened that nobody has asked for: nobody waits, and more than one place is free for the login. */
  hasSpare(login: string): boolean {
    return this.#queue.length === 0 && this.#opening.spareFor(login) > 1;
  }

  #place(login: string): Place {
    let counted: Counted | null = this.#opening;
    const leave = (): void => {
      const before = counted;
      counted = null;
      before?.remove(login);
      if (before === this.#opening) this.#admit();
    };
    return {
      leave,
      wait: () => {
        if (counted !== this.#opening) return true;
        if (!this.#waiting.add(login)) return false;
        leave();
        counted = this.#waiting;
        return true;
      },
    };
  }

  #admit(): void {
    for (let next = this.#next(); next !== null; next = this.#next()) {
      const { login, admit } = next;
      this.#queue = this.#queue.filter((each) => each !== next);
      admit(this.#begin(login));
    }
  }

  /** Whose turn it is; null: nobody's, or there is no place. */
  #next(): Waiting | null {
    let best: { entry: Waiting; has: number; turn: number } | null = null;
    for (const entry of this.#queue) {
      if (!this.#opening.hasRoomFor(entry.login)) continue;
      const has = this.#opening.of(entry.login);
      const turn = this.#lastTurns.get(entry.login) ?? 0;
      if (best === null || has < best.has || (has === best.has && turn < best.turn))
        best = { entry, has, turn };
    }
    return best?.entry ?? null;
  }

  #begin(login: string): Place {
    this.#opening.add(login);
    this.#lastTurns.delete(login);
    this.#lastTurns.set(login, ++this.#turns);
    for (const oldest of this.#lastTurns.keys()) {
      if (this.#lastTurns.size <= REMEMBERED_TURNS) break;
      this.#lastTurns.delete(oldest);
    }
    return this.#place(login);
  }
}

/** A number for all logins, and one for each. */
class Counted {
  readonly #all: number;
  readonly #each: number;
  #count = 0;
  readonly #of = new Map<string, number>();

  constructor({ all, each }: { all: number; each: number }) {
    this.#all = all;
    this.#each = each;
  }

  of(login: string): number {
    return this.#of.get(login) ?? 0;
  }

  hasRoomFor(login: string): boolean {
    return this.#count < this.#all && this.of(login) < this.#each;
  }

  spareFor(login: string): number {
    return Math.min(this.#all - this.#count, this.#each - this.of(login));
  }

  /** false: it is one too many. */
  add(login: string): boolean {
    if (!this.hasRoomFor(login)) return false;
    this.#count++;
    this.#of.set(login, this.of(login) + 1);
    return true;
  }

  remove(login: string): void {
    this.#count--;
    const left = this.of(login) - 1;
    if (left > 0) this.#of.set(login, left);
    else this.#of.delete(login);
  }
}

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

/**
 * How many messages the sessions of all listeners gather and open at a time. Their octets lie in spools, so what is bounded is the
 * work and the files. Who asks waits for a place, in order, but nobody for a login that has all of its own. Messages that wait
 * for a PIN are counted apart, for each login: whoever does not type one holds up nobody else.
 */
export class Openings {
  readonly #opening: Counted;
  readonly #waiting: Counted;
  #queue: { login: string; admit: (place: Place) => void }[] = [];

  constructor({ opening, waiting }: OpeningLimits = limits.view.openings) {
    this.#opening = new Counted(opening);
    this.#waiting = new Counted(waiting);
  }

  /** `ended`: nobody waits any more; false then. */
  enter(login: string, ended: AbortSignal): Promise<Place | null> {
    if (ended.aborted) return Promise.resolve(null);
    if (this.#opening.add(login)) return Promise.resolve(this.#place(login));
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
    for (let at = 0; at < this.#queue.length && this.#opening.hasRoom; ) {
      const entry = this.#queue[at];
      if (entry === undefined || !this.#opening.add(entry.login)) at++;
      else {
        this.#queue.splice(at, 1);
        entry.admit(this.#place(entry.login));
      }
    }
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

  get hasRoom(): boolean {
    return this.#count < this.#all;
  }

  /** false: it is one too many. */
  add(login: string): boolean {
    const own = this.#of.get(login) ?? 0;
    if (!this.hasRoom || own >= this.#each) return false;
    this.#count++;
    this.#of.set(login, own + 1);
    return true;
  }

  remove(login: string): void {
    this.#count--;
    const left = (this.#of.get(login) ?? 0) - 1;
    if (left > 0) this.#of.set(login, left);
    else this.#of.delete(login);
  }
}

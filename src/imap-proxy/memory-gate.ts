/** A place in the gate, of a fixed number of octets. */
export type Room = {
  /** Gives it back, once; further calls do nothing. */
  leave(): void;
  /**
   * The message waits for a person now, as long as that takes: it makes room for those that do not. false: too much waits
   * already, and the message has to be let go.
   */
  wait(owner: string): boolean;
};

/**
 * How many octets of messages all sessions of a listener hold at a time while they open them. Who asks waits until
 * there is room; one request larger than everything is served alone. Messages that wait for a PIN are counted apart, and
 * for each login: whoever does not type one holds up nobody else.
 */
export class MemoryGate {
  readonly #capacity: number;
  readonly #waitingCapacity: number;
  readonly #waitingEach: number;
  #used = 0;
  #waitingUsed = 0;
  readonly #waitingOf = new Map<string, number>();
  readonly #queue: { octets: number; admit: () => void }[] = [];

  /** Octets; `waiting`: of messages that wait for a person, of all logins together and of each (who has one in any case). */
  constructor(capacity: number, waiting: { all: number; each: number } = { all: capacity, each: capacity }) {
    this.#capacity = capacity;
    this.#waitingCapacity = waiting.all;
    this.#waitingEach = waiting.each;
  }

  async enter(octets: number): Promise<Room> {
    if (this.#queue.length > 0 || !this.#fits(octets)) {
      await new Promise<void>((resolve) => this.#queue.push({ octets, admit: resolve }));
    } else {
      this.#used += octets;
    }
    let give: (() => void) | null = () => {
      this.#used -= octets;
      this.#admitNext();
    };
    return {
      leave: () => {
        give?.();
        give = null;
      },
      wait: (owner) => {
        if (give === null) return true;
        const waiting = this.#wait(owner, octets);
        if (waiting === null) return false;
        give();
        give = waiting;
        return true;
      },
    };
  }

  /** Gives the waiting place back; null: there is none. */
  #wait(owner: string, octets: number): (() => void) | null {
    const own = this.#waitingOf.get(owner) ?? 0;
    if (own > 0 && own + octets > this.#waitingEach) return null;
    if (this.#waitingUsed > 0 && this.#waitingUsed + octets > this.#waitingCapacity) return null;
    this.#waitingUsed += octets;
    this.#waitingOf.set(owner, own + octets);
    return () => {
      this.#waitingUsed -= octets;
      const left = (this.#waitingOf.get(owner) ?? 0) - octets;
      if (left > 0) this.#waitingOf.set(owner, left);
      else this.#waitingOf.delete(owner);
    };
  }

  #fits(octets: number): boolean {
    return this.#used === 0 || this.#used + octets <= this.#capacity;
  }

  #admitNext(): void {
    for (;;) {
      const next = this.#queue[0];
      if (next === undefined || !this.#fits(next.octets)) return;
      this.#queue.shift();
      this.#used += next.octets;
      next.admit();
    }
  }
}

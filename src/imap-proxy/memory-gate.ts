/**
 * How many octets of messages all sessions of a listener hold at a time while they open them. Who asks waits until
 * there is room; one request larger than everything is served alone.
 */
export class MemoryGate {
  readonly #capacity: number;
  #used = 0;
  readonly #waiting: { octets: number; admit: () => void }[] = [];

  /** `capacity`: octets. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The returned function gives the room back, once. */
  async enter(octets: number): Promise<() => void> {
    if (this.#waiting.length > 0 || !this.#fits(octets)) {
      await new Promise<void>((resolve) => this.#waiting.push({ octets, admit: resolve }));
    } else {
      this.#used += octets;
    }
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#used -= octets;
      this.#admitNext();
    };
  }

  #fits(octets: number): boolean {
    return this.#used === 0 || this.#used + octets <= this.#capacity;
  }

  #admitNext(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || !this.#fits(next.octets)) return;
      this.#waiting.shift();
      this.#used += next.octets;
      next.admit();
    }
  }
}

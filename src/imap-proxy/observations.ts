/** Bounds of what waits, for one session: messages, octets. A client that fetches thousands at a stroke teaches less, and takes no more. */
const WAITING = { messages: 64, octets: 1024 * 1024 };

/**
 * Signed messages that a session has passed on, looked at one after the other so that their signers' certificates are learned. A client
 * fetches new mail in one go and then never again, so that the next one has to wait for its turn rather than to be passed over.
 */
export class Observations {
  readonly #observe: (octets: Buffer) => Promise<void>;
  readonly #waiting: Buffer[] = [];
  #octets = 0;
  #isRunning = false;

  constructor(observe: (octets: Buffer) => Promise<void>) {
    this.#observe = observe;
  }

  /** Beyond the bounds it is not looked at. */
  add(octets: Buffer): void {
    const isFull = this.#waiting.length >= WAITING.messages || this.#octets + octets.length > WAITING.octets;
    if (this.#isRunning && isFull) return;
    this.#waiting.push(octets);
    this.#octets += octets.length;
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        this.#octets -= next.length;
        await this.#observe(next);
      }
    } finally {
      this.#isRunning = false;
    }
  }
}

import type { OctetSource } from '../octets/source.ts';

/** A client that fetches thousands at a stroke teaches less, and takes no more. */
const MESSAGES_WAITING = 64;

type Observed = { octets: OctetSource; discard: () => Promise<void> };

/**
 * Signed messages that a session has passed on, looked at one after the other so that their signers' certificates are learned. A client
 * fetches new mail in one go and then never again, so that the next one has to wait for its turn rather than to be passed over; what waits
 * when the client leaves is looked at all the same, since old ones leave at once.
 */
export class Observations {
  readonly #observe: (octets: OctetSource) => Promise<void>;
  readonly #most: number;
  readonly #waiting: Observed[] = [];
  #octets = 0;
  #isRunning = false;

  /**
   * @param observe never rejects
   * @param most octets that wait, for one session
   */
  constructor(observe: (octets: OctetSource) => Promise<void>, most: number) {
    this.#observe = observe;
    this.#most = most;
  }

  /** Beyond the bounds it is not looked at. @param discard called in any case, once the octets are not needed any more; rejects never */
  add(octets: OctetSource, discard = async (): Promise<void> => undefined): void {
    const isFull = this.#waiting.length >= MESSAGES_WAITING || this.#octets + octets.length > this.#most;
    if (this.#isRunning && isFull) {
      void discard();
      return;
    }
    this.#waiting.push({ octets, discard });
    this.#octets += octets.length;
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#octets -= next.octets.length;
      await this.#observe(next.octets);
      await next.discard();
    }
    this.#isRunning = false;
  }
}

import { createHmac, randomBytes } from 'node:crypto';
import { limits } from '../limits.ts';
import { clientNetwork } from './client-network.ts';

/** Milliseconds that never run backwards, and waiting. */
export type LoginClock = { now(): number; wait(ms: number, signal: AbortSignal): Promise<void> };

type Failures = {
  /** Keyed digests of what failed: a program that says the same wrong password again and again guesses nothing. */
  readonly seen: Set<string>;
  count: number;
  /** When the last one failed that counts. */
  lastAt: number;
  /** When the next attempt may be made. */
  nextAt: number;
};

/**
 * Logins that failed, by the address of the client, for all listeners together. After some that were all different, attempts from that
 * address are made one after another, further and further apart, and are refused where they would have to wait for too long. What was
 * accepted from that address before is no guess: whoever guesses behind an address holds up nobody else there who has logged in.
 *
 * Nothing is kept of a password but a digest under a key of this process.
 */
export class FailedLogins {
  readonly #clock: LoginClock;
  readonly #key = randomBytes(32);
  /** Those that failed last are last. */
  readonly #failures = new Map<string, Failures>();
  /** Keyed digests of what was accepted, with the address; those that were said last are last. */
  readonly #accepted = new Set<string>();

  constructor(clock: LoginClock = systemClock) {
    this.#clock = clock;
  }

  /**
   * Resolves with true when the attempt may be made, with false when it is refused for now.
   *
   * @param said login and secret, where they are known
   */
  async mayTry(address: string, said: string | null, signal: AbortSignal): Promise<boolean> {
    const network = clientNetwork(address);
    const failures = this.#of(network);
    if (failures === null) return true;
    if (said !== null && this.#accepted.has(this.#digest(network, said))) return true;
    const apart = apartMs(failures.count);
    if (apart === 0) return true;
    const now = this.#clock.now();
    const waitMs = Math.max(failures.nextAt - now, 0);
    if (waitMs > limits.connections.loginWaitMs) return false;
    failures.nextAt = now + waitMs + apart;
    if (waitMs > 0) await this.#clock.wait(waitMs, signal);
    return !signal.aborted;
  }

  /** @param said login and secret, where they are known; null: each attempt is another one */
  failed(address: string, said: string | null): void {
    const { failedAddresses, failuresKept } = limits.connections;
    const network = clientNetwork(address);
    const now = this.#clock.now();
    const failures = this.#of(network) ?? { seen: new Set(), count: 0, lastAt: now, nextAt: now };
    if (said !== null) {
      const digest = this.#digest(network, said);
      this.#accepted.delete(digest);
      // Nor does it keep what others have mistyped behind the same address from being forgotten.
      if (failures.seen.has(digest)) return;
      if (failures.seen.size < failuresKept) failures.seen.add(digest);
    }
    failures.lastAt = now;
    this.#failures.delete(network);
    this.#failures.set(network, failures);
    failures.count++;
    failures.nextAt = Math.max(failures.nextAt, now + apartMs(failures.count));
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > failedAddresses && oldest !== undefined) this.#failures.delete(oldest);
  }

  /** @param said login and secret, where they are known */
  accepted(address: string, said: string | null): void {
    if (said === null) return;
    const digest = this.#digest(clientNetwork(address), said);
    this.#accepted.delete(digest);
    this.#accepted.add(digest);
    const [oldest] = this.#accepted;
    if (this.#accepted.size > limits.connections.acceptedLogins && oldest !== undefined)
      this.#accepted.delete(oldest);
  }

  #digest(network: string, said: string): string {
    return createHmac('sha256', this.#key).update(`${network}\0${said}`).digest('base64');
  }

  #of(network: string): Failures | null {
    const failures = this.#failures.get(network);
    if (failures === undefined) return null;
    if (this.#clock.now() - failures.lastAt < limits.connections.failuresForgottenMs) return failures;
    this.#failures.delete(network);
    return null;
  }
}

/** Milliseconds between two attempts after so many that failed. */
function apartMs(failures: number): number {
  const { freeFailures, loginsApartMs } = limits.connections;
  return failures < freeFailures ? 0 : Math.min(1_000 * 2 ** (failures - freeFailures), loginsApartMs);
}

const systemClock: LoginClock = {
  now: () => performance.now(),
  wait(ms, signal) {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms).unref();
      signal.addEventListener('abort', done);
      if (signal.aborted) done();
    });
  },
};

import { clientNetwork } from '../../connections/client-network.ts';
import { limits } from '../../limits.ts';

/** What one client may still ask for. */
export type Allowance = {
  /** Whether so many more may be asked for now; they are counted then. */
  take(people: number): boolean;
};

/**
 * How many people each client has asked for or was told of, by its address: whoever goes through the alphabet, or tries names, comes to
 * an end. It is forgotten evenly, over an hour.
 */
export class GivenEntries {
  readonly #perHour: number;
  readonly #now: () => number;
  /** Those that were given something last are last. */
  readonly #given = new Map<string, { people: number; at: number; toldAt: number | null }>();

  /** @param now milliseconds that never run backwards */
  constructor(perHour: number, now: () => number = () => performance.now()) {
    this.#perHour = perHour;
    this.#now = now;
  }

  /** Of all connections of one client together. @param remote address of the client */
  of(remote: string): Allowance {
    const network = clientNetwork(remote);
    return { take: (people) => this.#take(network, people) };
  }

  /** Whether it is to be said that this client has asked for too much: once an hour, however often it goes on asking. */
  isNews(remote: string): boolean {
    const given = this.#given.get(clientNetwork(remote));
    if (given === undefined) return true;
    const now = this.#now();
    if (given.toldAt !== null && now - given.toldAt < HOUR_MS) return false;
    given.toldAt = now;
    return true;
  }

  #take(network: string, people: number): boolean {
    const given = this.#given.get(network);
    const now = this.#now();
    const forgotten = given === undefined ? 0 : ((now - given.at) / HOUR_MS) * this.#perHour;
    const sum = Math.max(0, (given?.people ?? 0) - forgotten) + people;
    if (sum > this.#perHour) return false;
    this.#given.delete(network);
    this.#given.set(network, { people: sum, at: now, toldAt: given?.toldAt ?? null });
    const [oldest] = this.#given.keys();
    if (this.#given.size > limits.publishing.clients && oldest !== undefined) this.#given.delete(oldest);
    return true;
  }
}

/** Of clients that nothing bounds. */
export const UNBOUNDED: Allowance = { take: () => true };

const HOUR_MS = 3_600_000;

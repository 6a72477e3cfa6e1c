import { clientNetwork } from '../../connections/client-network.ts';
import { limits } from '../../limits.ts';

/**
 * How many people each client was told of, by its address: whoever goes through the alphabet comes to an end. What was given is forgotten
 * evenly, over an hour.
 */
export class GivenEntries {
  readonly #perHour: number;
  readonly #now: () => number;
  /** Those that were given something last are last. */
  readonly #given = new Map<string, { people: number; at: number }>();

  /** @param now milliseconds that never run backwards */
  constructor(perHour: number, now: () => number = () => performance.now()) {
    this.#perHour = perHour;
    this.#now = now;
  }

  /** How many may be given now. @param remote address of the client */
  left(remote: string): number {
    return Math.max(0, Math.floor(this.#perHour - this.#sum(clientNetwork(remote))));
  }

  give(remote: string, people: number): void {
    if (people === 0) return;
    const network = clientNetwork(remote);
    const sum = this.#sum(network) + people;
    this.#given.delete(network);
    this.#given.set(network, { people: sum, at: this.#now() });
    const [oldest] = this.#given.keys();
    if (this.#given.size > limits.publishing.clients && oldest !== undefined) this.#given.delete(oldest);
  }

  #sum(network: string): number {
    const given = this.#given.get(network);
    if (given === undefined) return 0;
    return Math.max(0, given.people - ((this.#now() - given.at) / HOUR_MS) * this.#perHour);
  }
}

const HOUR_MS = 3_600_000;

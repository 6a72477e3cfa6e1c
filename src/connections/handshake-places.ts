import { limits } from '../limits.ts';
import { clientNetwork } from './client-network.ts';

/**
 * TLS handshakes of a listener that are going on, bounded in all and for each address: they cost the gateway more than the client, and
 * one that is begun and left lying keeps its place from others. Who finds no place waits; a free one goes to the address that has the
 * fewest, and among those to who came first: a few addresses with all places keep nobody else waiting for long.
 */
export class HandshakePlaces {
  readonly #most: number;
  readonly #mostOfOne: number;
  #busy = 0;
  readonly #of = new Map<string, number>();
  #waiting: { network: string; go: () => void }[] = [];

  constructor(
    most: number = limits.connections.handshakes,
    mostOfOne: number = limits.connections.handshakesOfAddress,
  ) {
    this.#most = most;
    this.#mostOfOne = mostOfOne;
  }

  /** Does `work` as soon as there is a place for it. */
  async within<T>(address: string, work: () => Promise<T>): Promise<T> {
    const network = clientNetwork(address);
    if (!this.#free(network)) {
      await new Promise<void>((resolve) => this.#waiting.push({ network, go: resolve }));
    } else this.#take(network);
    try {
      return await work();
    } finally {
      this.#give(network);
    }
  }

  #free(network: string): boolean {
    return this.#busy < this.#most && (this.#of.get(network) ?? 0) < this.#mostOfOne;
  }

  #take(network: string): void {
    this.#busy++;
    this.#of.set(network, (this.#of.get(network) ?? 0) + 1);
  }

  #give(network: string): void {
    this.#busy--;
    const left = (this.#of.get(network) ?? 1) - 1;
    if (left === 0) this.#of.delete(network);
    else this.#of.set(network, left);
    let next: { network: string; go: () => void } | undefined;
    let fewest = this.#mostOfOne;
    for (const each of this.#waiting) {
      const places = this.#of.get(each.network) ?? 0;
      if (places >= fewest) continue;
      [next, fewest] = [each, places];
      if (places === 0) break;
    }
    if (next === undefined) return;
    this.#waiting.splice(this.#waiting.indexOf(next), 1);
    this.#take(next.network);
    next.go();
  }
}

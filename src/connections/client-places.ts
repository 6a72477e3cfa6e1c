import { AddressRanges } from './address-range.ts';
import { clientNetwork } from './client-network.ts';

/** The connections of a listener, counted for each address. */
export class ClientPlaces {
  readonly #most: number;
  readonly #unlimited: AddressRanges;
  readonly #taken = new Map<string, { places: number; told: boolean }>();
  readonly #refused: (address: string) => void;

  /**
   * @param most of one address, or of one /64 of IPv6
   * @param unlimited addresses and ranges that are not counted
   * @param refused told once of an address that has come to its limit
   */
  constructor(most: number, unlimited: readonly string[], refused: (address: string) => void) {
    this.#most = most;
    this.#unlimited = new AddressRanges(unlimited);
    this.#refused = refused;
  }

  /** The returned function gives the place back; null: there is none. */
  take(address: string): (() => void) | null {
    if (this.#unlimited.has(address)) return () => undefined;
    const network = clientNetwork(address);
    const entry = this.#taken.get(network) ?? { places: 0, told: false };
    if (entry.places >= this.#most) {
      if (!entry.told) this.#refused(address);
      entry.told = true;
      return null;
    }
    entry.places++;
    this.#taken.set(network, entry);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      entry.places--;
      if (entry.places === 0) this.#taken.delete(network);
    };
  }

  isUnlimited(address: string): boolean {
    return this.#unlimited.has(address);
  }
}

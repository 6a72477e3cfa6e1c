import { statusWord, triesLeftStatus } from './apdu.ts';

/**
 * A PIN or PUK with its retry counter (SP 800-73-4 part 2): each failure takes a try, success gives all of them back, none
 * left means blocked. The counter belongs to the card and outlives power.
 */
export class ReferenceData {
  readonly #mostTries: number;
  #value: Buffer;
  #tries: number;
  /** How often somebody presented a value, right or wrong. */
  presented = 0;

  constructor(value: string, mostTries: number) {
    this.#value = padded(value);
    this.#mostTries = mostTries;
    this.#tries = mostTries;
  }

  get triesLeft(): number {
    return this.#tries;
  }

  /** @returns the status word: 90 00, 63 CX or 69 83 */
  verify(presented: Buffer): number {
    if (this.#tries === 0) return statusWord.authenticationBlocked;
    this.presented++;
    if (presented.equals(this.#value)) {
      this.#tries = this.#mostTries;
      return statusWord.ok;
    }
    this.#tries--;
    return triesLeftStatus(this.#tries);
  }

  /** A new value, with all tries. */
  replace(value: Buffer): void {
    this.#value = Buffer.from(value);
    this.#tries = this.#mostTries;
  }
}

/** 6 to 8 decimal digits, padded with FF to 8 octets. */
export function isPin(octets: Buffer): boolean {
  return octets.length === OCTETS && /^[0-9]{6,8}\xff{0,2}$/.test(octets.toString('latin1'));
}

/** 8 octets of any value. */
export function isPuk(octets: Buffer): boolean {
  return octets.length === OCTETS;
}

export const OCTETS = 8;

function padded(value: string): Buffer {
  if (value.length > OCTETS) throw new Error('a PIN or PUK has at most 8 characters');
  return Buffer.concat([Buffer.from(value, 'latin1'), Buffer.alloc(OCTETS - value.length, 0xff)]);
}

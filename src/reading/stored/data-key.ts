import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { OpeningKey } from '../../pipeline/ports.ts';

const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;

/** What sealing adds to each piece. */
export const SEAL_OCTETS = NONCE_OCTETS + TAG_OCTETS;

/**
 * What seals everything that one private key of one login has opened. It lives in memory, and only as long as that key is open.
 *
 * Holds: both halves are needed for it, the installation's secret and the one that only the private key gives back.
 * Must never happen: it is used while its key is locked or away; something is sealed after it was forgotten.
 */
export class DataKey {
  readonly key: OpeningKey;
  readonly #octets: Buffer;
  #forgotten = false;

  /**
   * @param half 32 octets that lie locked with the private key
   * @param installation secret of the installation
   */
  constructor(key: OpeningKey, half: Buffer, installation: Buffer, reader: string) {
    this.key = key;
    this.#octets = Buffer.from(
      hkdfSync('sha256', half, installation, `sealgate stored views\0${reader}`, 32),
    );
  }

  get isUsable(): boolean {
    return !this.#forgotten && this.key.isOpen !== false;
  }

  /**
   * @param about what the piece is, and of what: the same has to be said to get it back
   * @throws Error when it is no longer usable
   */
  seal(about: string, piece: Uint8Array): Buffer {
    this.#require();
    const nonce = randomBytes(NONCE_OCTETS);
    const cipher = createCipheriv('aes-256-gcm', this.#octets, nonce);
    cipher.setAAD(Buffer.from(about, 'utf8'));
    return Buffer.concat([nonce, cipher.update(piece), cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws Error when it is no longer usable, and for a piece that was changed or is another one */
  unseal(about: string, sealed: Uint8Array): Buffer {
    this.#require();
    if (sealed.length < SEAL_OCTETS) throw new Error('a sealed piece is too short');
    const end = sealed.length - TAG_OCTETS;
    const decipher = createDecipheriv('aes-256-gcm', this.#octets, sealed.subarray(0, NONCE_OCTETS));
    decipher.setAAD(Buffer.from(about, 'utf8'));
    decipher.setAuthTag(sealed.subarray(end));
    const piece = decipher.update(sealed.subarray(NONCE_OCTETS, end));
    decipher.final();
    return piece;
  }

  forget(): void {
    this.#forgotten = true;
    this.#octets.fill(0);
  }

  #require(): void {
    if (!this.isUsable) throw new Error('the key of what is stored is away');
  }
}

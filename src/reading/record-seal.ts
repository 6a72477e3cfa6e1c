import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { SealgateError } from '../errors.ts';
import type { Annotation } from '../mail-view/render.ts';

/**
 * Whose a record is, and what was shown, readable by this installation alone: a protected Subject is nobody's business who
 * reads the database.
 *
 * Holds: a record that was changed, or put in another one's place, is an error.
 */
export class RecordSeal {
  /** A digest of account and login, which tells neither. */
  readonly reader: string;
  readonly #key: Buffer;

  /**
   * @param secret of the installation, 32 octets
   * @param account the mail server
   */
  constructor(secret: Buffer, account: string, login: string) {
    const whose = `${account}\0${login}`;
    this.reader = readerOf(secret, account, login);
    this.#key = Buffer.from(
      hkdfSync('sha256', secret, Buffer.alloc(0), `sealgate view records\0${whose}`, 32),
    );
  }

  /** @param name of the message; never that of another one */
  seal(name: string, annotation: Annotation): Buffer {
    const nonce = randomBytes(NONCE_OCTETS);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    cipher.setAAD(Buffer.from(name, 'utf8'));
    const text = cipher.update(JSON.stringify(annotation), 'utf8');
    return Buffer.concat([nonce, text, cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws SealgateError `view.record-damaged` (permanent) */
  unseal(name: string, sealed: Uint8Array): Annotation {
    try {
      if (sealed.length < NONCE_OCTETS + TAG_OCTETS) throw new Error('too short');
      const end = sealed.length - TAG_OCTETS;
      const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, NONCE_OCTETS));
      decipher.setAAD(Buffer.from(name, 'utf8'));
      decipher.setAuthTag(sealed.subarray(end));
      const text = Buffer.concat([decipher.update(sealed.subarray(NONCE_OCTETS, end)), decipher.final()]);
      // What was sealed here was written here.
      return JSON.parse(text.toString('utf8')) as Annotation;
    } catch (cause) {
      throw new SealgateError({
        code: 'view.record-damaged',
        publicText:
          'What was shown of this message before cannot be read any more. Copy it into another folder and open it there.',
        duration: 'permanent',
        cause,
      });
    }
  }
}

/** A digest of account and login, which tells neither; whose what is kept is. */
export function readerOf(secret: Buffer, account: string, login: string): string {
  return createHmac('sha256', secret).update(`records\0${account}\0${login}`).digest('hex');
}

const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;

import { createCipheriv, createDecipheriv, createHmac, type Hmac, randomBytes } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { limits } from '../limits.ts';
import { fieldsNamed, readHeader } from '../mail/header.ts';
import type { ViewNames } from './view-names.ts';

/**
 * What stands in the header of a message that a client has stored and this gateway has encrypted:
 *
 *   X-Sealgate-<installation>-At-Rest: 1; len=<octets as stored by the client>; sealed=<base64>
 *
 * `sealed` is AES-256-GCM, under a key that this installation has for this login, of a keyed hash of the client's octets and of
 * their header. So a listing needs no private key: it says what the client has stored, size and header.
 *
 * Holds: what is read from a marker was written by this installation, for this login; the hash binds it to one content, which shows
 * when that is opened.
 * Must never happen: something believed of a field that anybody could have written or brought from elsewhere.
 */
export type AtRestMark = {
  /** Octets of the message as its client stored it. */
  length: number;
  /** Its header with the empty line, as far as there is one. */
  header: Buffer;
  /** By `AtRestMarks.digest`, over all of its octets. */
  digest: Buffer;
};

const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;
const DIGEST_OCTETS = 32;
const CIPHER = 'aes-256-gcm';
const LINE_CHARS = 76;

/** Writes and reads markers of one login. */
export class AtRestMarks {
  /** Of the header field. */
  readonly name: string;
  readonly #login: string;
  readonly #sealingKey: Buffer;
  readonly #digestKey: Buffer;

  /** `secret`: the installation's view secret. */
  constructor(secret: Buffer, { installationId }: ViewNames, login: string) {
    this.name = `X-Sealgate-${installationId}-At-Rest`;
    this.#login = login;
    const key = (purpose: string): Buffer =>
      createHmac('sha256', secret).update(`at-rest ${purpose}\0${login}`).digest();
    this.#sealingKey = key('header');
    this.#digestKey = key('content');
  }

  /** Takes the octets of the message, whole and in order. */
  digest(): Hmac {
    return createHmac('sha256', this.#digestKey);
  }

  /** The field, its lines with CRLF. */
  write({ length, header, digest }: AtRestMark): string {
    if (digest.length !== DIGEST_OCTETS) throw new RangeError('a digest of another kind');
    const nonce = randomBytes(NONCE_OCTETS);
    const cipher = createCipheriv(CIPHER, this.#sealingKey, nonce);
    cipher.setAAD(this.#bound(length));
    const sealed = [nonce, cipher.update(digest), cipher.update(deflateRawSync(header)), cipher.final()];
    const text = Buffer.concat([...sealed, cipher.getAuthTag()]).toString('base64');
    const lines = [`${this.name}: 1; len=${length};`, ` sealed=${text.slice(0, LINE_CHARS - 8)}`];
    for (let at = LINE_CHARS - 8; at < text.length; at += LINE_CHARS - 1) {
      lines.push(` ${text.slice(at, at + LINE_CHARS - 1)}`);
    }
    return lines.map((line) => `${line}\r\n`).join('');
  }

  /**
   * The marker in a header, or in a part of one. null: none, several, damaged, of another installation or login, or of a later
   * version.
   */
  read(header: Buffer): AtRestMark | null {
    // Folded anywhere, in the middle of the padding too.
    const value = this.#value(header)?.replace(/[ \t]/g, '') ?? '';
    const found = /^1;len=(0|[1-9][0-9]{0,9});sealed=([A-Za-z0-9+/]+={0,2})$/.exec(value);
    if (found === null) return null;
    const length = Number(found[1]);
    const sealed = Buffer.from(found[2] ?? '', 'base64');
    if (sealed.length < NONCE_OCTETS + DIGEST_OCTETS + TAG_OCTETS) return null;
    try {
      const content = this.#unseal(sealed, length);
      const inflated = inflateRawSync(content.subarray(DIGEST_OCTETS), {
        maxOutputLength: limits.atRest.headerOctets,
      });
      return { length, header: inflated, digest: content.subarray(0, DIGEST_OCTETS) };
    } catch {
      // Whatever is wrong with it, it is not ours.
      return null;
    }
  }

  #value(header: Buffer): string | null {
    try {
      const [field, ...further] = fieldsNamed(readHeader(header, 0, header.length).fields, this.name);
      return field === undefined || further.length > 0 ? null : field.value.trim();
    } catch {
      // Larger than any header that is read here.
      return null;
    }
  }

  #unseal(sealed: Buffer, length: number): Buffer {
    const decipher = createDecipheriv(CIPHER, this.#sealingKey, sealed.subarray(0, NONCE_OCTETS), {
      authTagLength: TAG_OCTETS,
    });
    decipher.setAAD(this.#bound(length));
    decipher.setAuthTag(sealed.subarray(-TAG_OCTETS));
    const content = decipher.update(sealed.subarray(NONCE_OCTETS, -TAG_OCTETS));
    return Buffer.concat([content, decipher.final()]);
  }

  /** What is bound to the marker besides. */
  #bound(length: number): Buffer {
    return Buffer.from(`at-rest 1\0${this.#login}\0${length}`);
  }
}

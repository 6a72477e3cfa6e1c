import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { MailId } from '../ids.ts';
import { parseMailbox } from '../pki/mailbox.ts';
import type { Mailbox } from '../smtp/envelope.ts';
import { addressOf } from './address.ts';

/** 5 bits each, lower case alone: servers and people may change the case of an address. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const CODE_CHARACTERS = 20;
const ID = /^[0-9a-hjkmnp-tv-z]{20}$/;

/**
 * Addresses to which questions are answered: `secure-mail+ID.CODE@example.org`. The code (100 bits of HMAC-SHA-256 over the mail's id and the
 * time at which it stops waiting) keeps strangers from asking about mails; the right to answer comes from the login.
 */
export class AnswerAddresses {
  readonly #key: Buffer;
  readonly #localPart: string;
  readonly #domain: string;

  /**
   * @param secret of the installation
   * @param address of the gateway
   */
  constructor(secret: Buffer, address: string) {
    this.#key = Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), 'sealgate answers to questions', 32));
    const { localPart, domain } = parseMailbox(address) ?? { localPart: address, domain: '' };
    this.#localPart = localPart;
    this.#domain = domain;
  }

  /** Whether mail to it is for the gateway: its own address, or that with anything behind "+". */
  isOwn(mailbox: Mailbox): boolean {
    return this.#suffix(mailbox) !== null;
  }

  of(id: MailId, until: Date): string {
    return `${this.#localPart}+${id}.${this.#codeOf(id, until)}@${this.#domain}`;
  }

  /** The mail that it says it is about; nothing in it is believed before `isOf`. */
  idIn(mailbox: Mailbox): MailId | null {
    const id = (this.#suffix(mailbox) ?? '').split('.')[0] ?? '';
    return ID.test(id) ? (id as MailId) : null;
  }

  /** Whether the address is the one of this mail. In constant time. */
  isOf(mailbox: Mailbox, id: MailId, until: Date): boolean {
    const wanted = Buffer.from(`${id}.${this.#codeOf(id, until)}`);
    const said = Buffer.from(this.#suffix(mailbox) ?? '');
    return said.length === wanted.length && timingSafeEqual(said, wanted);
  }

  /** What stands behind "+", lower case; empty: nothing. null: not the gateway's address. */
  #suffix(mailbox: Mailbox): string | null {
    const { exact } = addressOf(mailbox);
    const at = exact.lastIndexOf('@');
    if (at < 0 || exact.slice(at + 1) !== this.#domain) return null;
    const local = exact.slice(0, at).toLowerCase();
    const own = this.#localPart.toLowerCase();
    if (local === own) return '';
    return local.startsWith(`${own}+`) ? local.slice(own.length + 1) : null;
  }

  #codeOf(id: MailId, until: Date): string {
    const code = createHmac('sha256', this.#key).update(`${id} ${until.getTime()}`).digest();
    // Each character from an octet of its own: 5 of its 8 bits.
    return Array.from(code.subarray(0, CODE_CHARACTERS), (octet) => ALPHABET[octet & 31]).join('');
  }
}

import { SealgateError } from '../../errors.ts';

/**
 * Cuts what an LDAP server sends into messages (RFC 4511 §5.1: BER with definite lengths only), each of them whole, bounded in size and
 * in number. Nothing of them is believed here: this stands before the library that decodes them, which bounds nothing. Pure.
 */
export type MessageBounds = { messageOctets: number; octets: number; messages: number };

const LDAP_MESSAGE = 0x30;

export class LdapMessages {
  readonly #bounds: MessageBounds;
  #pieces: Buffer[] = [];
  #held = 0;
  #octets = 0;
  #messages = 0;

  constructor(bounds: MessageBounds) {
    this.#bounds = bounds;
  }

  /** Whether no part of a message has come that is not whole yet. */
  get isAtStart(): boolean {
    return this.#held === 0;
  }

  /** The messages that end in this piece. @throws SealgateError `directory.ldap-answer` (temporary) */
  push(piece: Buffer): Buffer[] {
    this.#octets += piece.length;
    if (this.#octets > this.#bounds.octets) throw ldapAnswer('the answer is too long');
    this.#pieces.push(piece);
    this.#held += piece.length;
    const whole: Buffer[] = [];
    for (;;) {
      const length = this.#messageLength();
      if (length === null || length > this.#held) return whole;
      const all = this.#joined();
      whole.push(all.subarray(0, length));
      this.#pieces = length === all.length ? [] : [all.subarray(length)];
      this.#held -= length;
      if (++this.#messages > this.#bounds.messages) throw ldapAnswer('the answer has too many messages');
    }
  }

  /** Header and content; null: not enough of it is there. */
  #messageLength(): number | null {
    const start = this.#start();
    if (start.length < 2) return null;
    const [identifier, first = 0] = start;
    if (identifier !== LDAP_MESSAGE) throw ldapAnswer('what came is no LDAP message');
    if (first < 0x80) return 2 + first;
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw ldapAnswer('what came is no LDAP message');
    if (start.length < 2 + count) return null;
    const length = start.readUIntBE(2, count);
    if (length > this.#bounds.messageOctets) throw ldapAnswer('a message of the answer is too long');
    return 2 + count + length;
  }

  #start(): Buffer {
    const [first] = this.#pieces;
    if (first === undefined) return Buffer.alloc(0);
    return first.length >= LONGEST_HEADER || this.#pieces.length === 1
      ? first
      : this.#joined().subarray(0, LONGEST_HEADER);
  }

  #joined(): Buffer {
    const [first, ...others] = this.#pieces;
    if (first === undefined) return Buffer.alloc(0);
    if (others.length === 0) return first;
    const all = Buffer.concat(this.#pieces);
    this.#pieces = [all];
    return all;
  }
}

const LONGEST_HEADER = 6;

/** What a server says is no answer. @param reason for the log */
export function ldapAnswer(reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'directory.ldap-answer',
    publicText: 'The directory server gave no answer that can be used.',
    duration: 'temporary',
    reason,
    ...(cause === undefined ? {} : { cause }),
  });
}

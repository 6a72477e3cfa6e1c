import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { MailId } from '../ids.ts';
import type { Clock } from '../pipeline/ports.ts';
import type { HeldMail } from './held-mail.ts';

/** What a link opens. */
export type HeldLink =
  | { kind: 'mail'; id: MailId }
  /** Everything of this From address that waits. */
  | { kind: 'list'; address: string };

/** How long a list can be opened by its link. */
const LIST_DAYS = 3;
const DAY_MS = 24 * 60 * 60 * 1000;

/** Longest that is looked at: an address of 320 octets, its time and its code. */
const MOST_CHARACTERS = 1_000;
const CODE_OCTETS = 32;
const TIME_OCTETS = 6;

/**
 * The last segment of links to pages about mail that waits. Whoever has one may do what its page offers, so nobody can make one without
 * the installation's secret: what it opens and until when, under HMAC-SHA-256.
 *
 * Holds: a token for an answer by mail, which servers write into their logs, opens no page, and the other way round: each has a key of its own.
 */
export class HeldLinks {
  readonly #key: Buffer;
  readonly #clock: Clock;

  /** @param secret of the installation */
  constructor(secret: Buffer, clock: Clock) {
    this.#key = Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), 'sealgate links to held mail', 32));
    this.#clock = clock;
  }

  /** null: it was not made here, was changed, or its time is over. */
  read(token: string): HeldLink | null {
    if (token.length > MOST_CHARACTERS || !/^[\w-]+$/.test(token)) return null;
    const octets = Buffer.from(token, 'base64url');
    // One spelling for each token: what Node reads over is not a second one.
    if (octets.toString('base64url') !== token || octets.length <= CODE_OCTETS + TIME_OCTETS) return null;
    const said = octets.subarray(0, octets.length - CODE_OCTETS);
    if (!timingSafeEqual(this.#codeOf(said), octets.subarray(said.length))) return null;
    if (said.readUIntBE(0, TIME_OCTETS) <= this.#clock().getTime()) return null;
    const text = said.toString('utf8', TIME_OCTETS + 1);
    switch (said[TIME_OCTETS]) {
      case KINDS.mail:
        return { kind: 'mail', id: text as MailId };
      case KINDS.list:
        return { kind: 'list', address: text };
      default:
        return null;
    }
  }

  /** Good as long as the mail waits. */
  toMail({ id, expiresAt }: Pick<HeldMail, 'id' | 'expiresAt'>): string {
    return this.#token('mail', expiresAt, id);
  }

  toList(address: string): string {
    return this.#token('list', new Date(this.#clock().getTime() + LIST_DAYS * DAY_MS), address);
  }

  #token(kind: keyof typeof KINDS, until: Date, text: string): string {
    const time = Buffer.alloc(TIME_OCTETS);
    time.writeUIntBE(until.getTime(), 0, TIME_OCTETS);
    const said = Buffer.concat([time, Buffer.of(KINDS[kind]), Buffer.from(text, 'utf8')]);
    return Buffer.concat([said, this.#codeOf(said)]).toString('base64url');
  }

  #codeOf(said: Buffer): Buffer {
    return createHmac('sha256', this.#key).update(said).digest();
  }
}

const KINDS = { mail: 1, list: 2 } as const;

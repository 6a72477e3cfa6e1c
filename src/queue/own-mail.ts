import type { SigningKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import { type MailId, newMailId } from '../ids.ts';
import type { Log } from '../log/log.ts';
import { textMessage } from '../mail/text-message.ts';
import type { Clock } from '../pipeline/ports.ts';
import { signMessage } from '../smime/sign.ts';
import type { Mailbox } from '../smtp/envelope.ts';
import type { OwnIdentity } from './own-key.ts';
import type { MailToDeliver, Purpose } from './ports.ts';

/** A mail that the gateway writes, in words. */
export type OwnMail = {
  /** Of the mail that it is about. */
  id: MailId;
  purpose: Extract<Purpose, 'question' | 'notice' | 'report'>;
  /** At least one. */
  to: readonly string[];
  subject: string;
  /** Lines of the text; empty ones part paragraphs. */
  lines: readonly string[];
  /** Where an answer goes, where that is not the gateway's address. */
  replyTo?: string;
  /** Message-ID of the mail that it is about. */
  inReplyTo?: string;
};

export type OwnMailParts = {
  identity: OwnIdentity;
  hostname: string;
  /** How long a delivery is tried. */
  days: number;
  clock: Clock;
  log: Log;
};

/**
 * Composes the gateway's own mail: from its address, signed where its key may sign for that, and without a reverse path, so that nothing that
 * becomes of it comes back (RFC 5321 §4.5.5).
 */
export class OwnMails {
  readonly #parts: OwnMailParts;

  constructor(parts: OwnMailParts) {
    this.#parts = parts;
  }

  get address(): string {
    return this.#parts.identity.address;
  }

  /** Never throws for what a key does: a mail that cannot be signed now leaves without its signature, and the log says so. */
  async compose({ id, purpose, to, subject, lines, replyTo, inReplyTo }: OwnMail): Promise<MailToDeliver> {
    const { identity, clock, hostname } = this.#parts;
    const plain = textMessage({
      ...{ from: identity.address, to, subject, lines, date: clock(), autoSubmitted: 'auto-generated' },
      messageId: newMessageId(hostname),
      ...(replyTo === undefined ? {} : { replyTo }),
      ...(inReplyTo === undefined ? {} : { inReplyTo }),
    });
    return this.envelope({ id, purpose, to }, await this.#signed(id, plain));
  }

  /** Any octets as a mail of the gateway to somebody. */
  envelope({ id, purpose, to }: Pick<OwnMail, 'id' | 'purpose' | 'to'>, octets: Buffer): MailToDeliver {
    const { clock, days } = this.#parts;
    const recipients = to.map((address) => ({ mailbox: mailboxOf(address), parameters: [] }));
    const wide = to.some((address) => /[^\x00-\x7f]/.test(address));
    return {
      ...{ id, purpose, way: { kind: 'smtp' }, requireTls: 'no', octets },
      envelope: {
        reversePath: null,
        mailParameters: wide ? [{ keyword: 'SMTPUTF8', value: null }] : [],
        recipients,
      },
      expiresAt: new Date(clock().getTime() + days * DAY_MS),
    };
  }

  async #signed(id: MailId, plain: Buffer): Promise<Buffer> {
    const { identity, clock, log } = this.#parts;
    const { keyring, principal, address } = identity;
    const [key]: readonly (SigningKey | undefined)[] = await keyring.signingKeys(principal, address, id);
    if (key === undefined) return plain;
    try {
      return await signMessage(plain, key, {
        ...{ form: 'clear', headerProtection: { kind: 'clear' }, at: clock() },
      });
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      log.write({ event: 'queue.not-signed', level: 'warn', mail: id, code: error.code });
      return plain;
    }
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** RFC 5322 §3.6.4. */
export function newMessageId(hostname: string): string {
  return `<${newMailId()}@${hostname}>`;
}

/** @param address one of local part, "@" and domain */
export function mailboxOf(address: string): Mailbox {
  const at = address.lastIndexOf('@');
  return { localPart: address.slice(0, at), domain: address.slice(at + 1) };
}

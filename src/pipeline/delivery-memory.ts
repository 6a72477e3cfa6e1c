import { createHash } from 'node:crypto';
import type { Log } from '../log/log.ts';
import type { Recipient } from '../smtp/envelope.ts';
import type { DeliveredVariants, Submission } from './ports.ts';
import { addressOf } from './recipient-certificates.ts';

/**
 * What is remembered of one mail's hand-over, by login and octets: another user's or a changed mail is never taken for a
 * retry.
 */
export class DeliveryMemory {
  readonly #submission: Submission;
  readonly #delivered: DeliveredVariants;
  readonly #log: Log;
  #digest: Promise<string> | null = null;

  constructor(submission: Submission, delivered: DeliveredVariants, log: Log) {
    this.#submission = submission;
    this.#delivered = delivered;
    this.#log = log;
  }

  /**
   * Who of them has the mail from an earlier attempt. Throws what the store throws: as long as that is not known, nobody
   * gets anything.
   */
  async whoHasIt(recipients: readonly Recipient[]): Promise<ReadonlySet<Recipient>> {
    const mail = await this.#mailDigest();
    const known = await Promise.all(recipients.map((one) => this.#delivered.has(keyOf(mail, one))));
    return new Set(recipients.filter((_, index) => known[index] === true));
  }

  /** False where it could not be written down: the mail has gone all the same. */
  remember(recipients: readonly Recipient[]): Promise<boolean> {
    return this.#noted(async () => {
      const mail = await this.#mailDigest();
      for (const one of recipients) await this.#delivered.record(keyOf(mail, one));
    });
  }

  /** Everybody has the mail: the same octets from the same login are a new mail from now on. */
  forget(recipients: readonly Recipient[]): Promise<boolean> {
    return this.#noted(async () => {
      const mail = await this.#mailDigest();
      await this.#delivered.forget(recipients.map((one) => keyOf(mail, one)));
    });
  }

  async #noted(write: () => Promise<void>): Promise<boolean> {
    try {
      await write();
      return true;
    } catch (error) {
      this.#log.write({
        event: 'mail.delivery-not-noted',
        level: 'error',
        mail: this.#submission.id,
        reason: String(error),
      });
      return false;
    }
  }

  #mailDigest(): Promise<string> {
    this.#digest ??= digestOf(this.#submission);
    return this.#digest;
  }
}

async function digestOf({ origin, octets }: Submission): Promise<string> {
  const { login } = origin.principal;
  // The length keeps the end of a login from being taken for the beginning of a mail.
  const hash = createHash('sha256').update(`${login.length} `).update(login);
  for await (const chunk of octets.read()) hash.update(chunk);
  return hash.digest('hex');
}

function keyOf(mail: string, recipient: Recipient): string {
  return createHash('sha256').update(mail).update('\0').update(addressOf(recipient)).digest('hex');
}

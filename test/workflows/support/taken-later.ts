import { expect } from 'vitest';
import type { ReceivedMail } from '../../../src/evaluation/smtp-upstream.ts';
import { addressOf, type MailSystem } from '../../support/mail-system.ts';

/**
 * What the mail server takes for somebody: the gateway delivers by itself, so it comes later than the reply that a mail program has heard.
 * Each is given out once, in the order in which they came.
 */
export class TakenLater {
  readonly #system: MailSystem;
  readonly #given = new Set<ReceivedMail>();

  constructor(system: MailSystem) {
    this.#system = system;
  }

  /** The next one to this user. */
  async next(name: string): Promise<ReceivedMail> {
    let found: ReceivedMail | undefined;
    await expect
      .poll(() => {
        found = this.#waiting(name)[0];
        return found !== undefined;
      })
      .toBe(true);
    if (found === undefined) throw new Error('nothing has come');
    this.#given.add(found);
    return found;
  }

  /** How many there are besides. */
  more(name: string): number {
    return this.#waiting(name).length;
  }

  #waiting(name: string): readonly ReceivedMail[] {
    return this.#system.upstream.received.filter(
      (mail) => mail.envelope.recipients.includes(addressOf(name)) && !this.#given.has(mail),
    );
  }
}

import { collectFrom } from '../../../src/octets/collect.ts';
import type { Courier, DeliveryOutcome } from '../../../src/queue/ports.ts';
import type { Recipient } from '../../../src/smtp/envelope.ts';

type Taken = Parameters<Courier['deliver']>[0];
/** What becomes of one recipient, by the local part of her address. */
export type Script = (localPart: string, mail: Taken) => 'delivered' | 'later' | 'failed';

/** A courier that does what a test says, and remembers who got what. */
export class ScriptedCourier implements Courier {
  readonly mails: Taken[] = [];
  readonly texts: string[] = [];
  script: Script;

  constructor(script: Script = () => 'delivered') {
    this.script = script;
  }

  async deliver(mail: Taken): Promise<readonly DeliveryOutcome[]> {
    this.mails.push(mail);
    const { octets } = mail;
    this.texts.push(String(Buffer.isBuffer(octets) ? octets : await collectFrom(octets)));
    return mail.envelope.recipients.map((recipient) => this.#outcome(recipient, mail));
  }

  async close(): Promise<void> {
    // Nothing is open.
  }

  #outcome(recipient: Recipient, mail: Taken): DeliveryOutcome {
    const kind = this.script(recipient.mailbox.localPart, mail);
    if (kind === 'delivered') return { recipient, kind, reply: { code: 250, lines: ['2.0.0 taken'] } };
    const reply =
      kind === 'failed'
        ? { code: 550, lines: ['5.1.1 no such user'] }
        : { code: 451, lines: ['4.3.0 not now'] };
    return { recipient, kind, reply, because: `the mail server said: ${reply.code} ${reply.lines[0]}` };
  }
}

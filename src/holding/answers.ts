import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import { collectFrom } from '../octets/collect.ts';
import type { Keyring, Origin, OwnMailbox, Submission } from '../pipeline/ports.ts';
import type { OwnMails } from '../queue/own-mail.ts';
import type { Queue } from '../queue/ports.ts';
import type { Mailbox } from '../smtp/envelope.ts';
import { type Reply, reply } from '../smtp/reply.ts';
import { addressOf } from './address.ts';
import type { AnswerAddresses } from './answer-address.ts';
import { type ReadAnswer, readAnswer } from './answer-text.ts';
import type { Choice, HeldMail } from './held-mail.ts';
import type { WaitingMails } from './held-mails.ts';
import { type HeldPart, isOfMail } from './held-rows.ts';
import type { HeldStore } from './held-store.ts';
import { type AnswerWord, confirmationMail, outcomeText } from './question.ts';

export type AnswersParts = {
  addresses: AnswerAddresses;
  held: HeldStore;
  mails: WaitingMails;
  keyring: Pick<Keyring, 'addressesOf'>;
  ownMails: Pick<OwnMails, 'compose'>;
  queue: Pick<Queue, 'enqueue'>;
  log: Log;
};

/**
 * Answers to questions, by mail.
 *
 * Holds: a mail's question is answered by nobody but the login that sent the mail, while the mail's From address is still its own; an address
 * that somebody has read over a shoulder gives no right, and tells nothing. An answer that comes twice does nothing the second time.
 */
export class Answers implements OwnMailbox {
  readonly #parts: AnswersParts;

  constructor(parts: AnswersParts) {
    this.#parts = parts;
  }

  isOwn(mailbox: Mailbox): boolean {
    return this.#parts.addresses.isOwn(mailbox);
  }

  async judge(origin: Origin, mailbox: Mailbox): Promise<Reply> {
    return this.#answered(async () => {
      const mail = await this.#asked(origin, mailbox);
      return mail === null ? NO_QUESTION : reply(250, '2.1.5', 'The gateway takes the answer');
    });
  }

  async take({ id, origin, envelope, octets }: Submission): Promise<Reply> {
    const refused = (answer: Reply) => {
      const { log } = this.#parts;
      const reason = answer.lines[0] ?? '';
      log.write({ event: 'held.answer-refused', level: 'warn', mail: id, session: origin.session, reason });
      return answer;
    };
    return this.#answered(async () => {
      const [recipient] = envelope.recipients;
      const mail = recipient === undefined ? null : await this.#asked(origin, recipient.mailbox);
      if (mail === null) return refused(NO_QUESTION);
      // RFC 3834 §2: so do vacation programs and receipts come; a mail program names whom to tell of a failure.
      const read = envelope.reversePath === null ? BY_PROGRAM : readAnswer(await collectFrom(octets));
      if (read.kind === 'unclear') {
        return refused(reply(554, '5.6.0', `The answer cannot be taken. ${read.publicText}`));
      }
      const outcome = await this.#parts.mails.choose(mail.id, CHOICES[read.word], {
        ...{ recipients: null, by: mail.from, whereAllowed: true },
      });
      if (outcome.kind !== 'done') return refused(reply(554, '5.5.0', outcomeText(outcome)));
      await this.#confirm(read.word, outcome.mail, read.messageId);
      return reply(250, '2.0.0', SAID[read.word]);
    });
  }

  /** The mail whose question this login may answer at this address; null: there is none. */
  async #asked({ principal }: Origin, mailbox: Mailbox): Promise<Pick<HeldPart, 'id' | 'from'> | null> {
    const { addresses, held, keyring } = this.#parts;
    const id = addresses.idIn(mailbox);
    if (id === null) return null;
    const [part] = await held.parts([isOfMail(id)]);
    if (part === undefined || !addresses.isOf(mailbox, id, part.expiresAt)) return null;
    if (part.login !== principal.login) return null;
    const own = keyring.addressesOf(principal).map((address) => addressOf(address).exact);
    return own.includes(addressOf(part.from).exact) ? part : null;
  }

  /** The choice is made: whoever hears nothing of it has its reply. */
  async #confirm(word: AnswerWord, mail: HeldMail, inReplyTo: string | null): Promise<void> {
    const { ownMails, queue, log } = this.#parts;
    try {
      await queue.enqueue([
        await ownMails.compose(confirmationMail(word, mail, { to: mail.from, inReplyTo })),
      ]);
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      log.write({ event: 'held.unavailable', level: 'error', reason: error.message });
    }
  }

  async #answered(work: () => Promise<Reply>): Promise<Reply> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SealgateError) {
        const temporary = error.duration === 'temporary';
        return reply(temporary ? 451 : 554, temporary ? '4.3.0' : '5.3.0', error.publicText);
      }
      const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#parts.log.write({
        event: 'gateway.defect',
        level: 'error',
        where: 'holding/answers',
        error: trace,
      });
      return reply(451, '4.3.0', 'The answer could not be taken just now; try again later');
    }
  }
}

const BY_PROGRAM: ReadAnswer = {
  kind: 'unclear',
  publicText: 'It came without a return path, as what a program has written.',
};

/** The same for whatever is wrong with it: nobody learns which mails wait. */
const NO_QUESTION = reply(
  550,
  '5.1.1',
  'The gateway has not asked this login anything at this address; answer its question itself, from the account that sent the mail',
);

const CHOICES: Readonly<Record<AnswerWord, Choice>> = {
  send: 'send-signed',
  wait: 'wait',
  discard: 'discard',
};

const SAID: Readonly<Record<AnswerWord, string>> = {
  send: 'The mail is sent signed, not encrypted',
  wait: 'The mail keeps waiting',
  discard: 'The mail is discarded',
};

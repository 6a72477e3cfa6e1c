import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import { collectFrom } from '../octets/collect.ts';
import type { Clock } from '../pipeline/ports.ts';
import type { Holding, MailToHold } from '../pipeline/waiting.ts';
import type { OwnMails } from '../queue/own-mail.ts';
import type { MailToDeliver, Queue, SealedSpool, Staged } from '../queue/ports.ts';
import { fateAfter } from '../store/in-doubt.ts';
import type { SqlStore, Statement } from '../store/sql-store.ts';
import { addressOf } from './address.ts';
import type { AnswerAddresses } from './answer-address.ts';
import { writeContent } from './held-content.ts';
import type { HeldLinks } from './held-links.ts';
import { countParts, heldWitness, insertPart } from './held-rows.ts';
import { introductionsFor } from './introductions.ts';
import { messageIdIn, readHeaderAlone } from './mail-header.ts';
import { questionMail } from './question.ts';
import { Turns } from './turns.ts';

export type HoldingDeskParts = {
  store: SqlStore;
  spool: SealedSpool;
  queue: Pick<Queue, 'stage'>;
  ownMails: Pick<OwnMails, 'compose'>;
  addresses: AnswerAddresses;
  links: HeldLinks;
  settings: HoldingSettings;
  clock: Clock;
  log: Log;
  /** Told of those who wait from now on: a certificate may have come meanwhile. */
  held(addresses: readonly string[]): void;
};

export type HoldingSettings = {
  /** How long mail waits. */
  days: number;
  /** How long a delivery is tried. */
  deliveryDays: number;
  /** Where the pages are, without a slash at the end; null: there are none. */
  url: string | null;
};

const DAY_MS = 24 * 60 * 60 * 1000;
const SUBJECT_CHARACTERS = 200;

/**
 * Takes mail that is to wait.
 *
 * Holds: sealed files first, then one transaction with all rows, the question and the notes to those who wait; whoever was told that a mail
 * is kept finds all of that after a power cut, and whoever was told that it is not finds none of it.
 */
export class HoldingDesk implements Holding {
  readonly #parts: HoldingDeskParts;
  readonly #senders = new Turns();

  constructor(parts: HoldingDeskParts) {
    this.#parts = parts;
  }

  async hold(parts: readonly MailToHold[]): Promise<void> {
    const [first] = parts;
    if (first === undefined) return;
    // A rule that hides it is not undone by another one.
    const isShown = parts.every(({ shownSubject }) => shownSubject !== null);
    const mails = parts.map((part) => ({
      ...part,
      shownSubject: isShown && part.shownSubject !== null ? oneLine(part.shownSubject) : null,
    }));
    // Of one sender at a time: the second of two mails finds that those who wait were written to.
    await this.#senders.of(addressOf(first.from).exact, () => this.#hold(mails));
    this.#parts.held(mails.flatMap(({ recipients }) => recipients.map(mailboxText)));
  }

  async #hold(mails: readonly MailToHold[]): Promise<void> {
    const { store, spool, queue, clock, log } = this.#parts;
    await this.#room();
    const heldAt = clock();
    const expiresAt = new Date(heldAt.getTime() + this.#parts.settings.days * DAY_MS);
    const files: string[] = [];
    const staged: Staged[] = [];
    try {
      const statements: Statement[] = [];
      for (const mail of mails) {
        const name = await spool.write(writeContent(mail));
        files.push(name);
        statements.push(...insertPart(name, mail, { heldAt, expiresAt }));
      }
      const introductions = await introductionsFor(mails, store, {
        now: heldAt,
        expiresAt: new Date(heldAt.getTime() + this.#parts.settings.deliveryDays * DAY_MS),
      });
      const question = await this.#question(mails, { heldAt, expiresAt });
      for (const mail of [...introductions.deliveries, ...question]) staged.push(await queue.stage(mail));
      await store.transaction([
        ...statements,
        ...introductions.statements,
        ...staged.flatMap((one) => one.statements),
      ]);
    } catch (error) {
      const [name] = files;
      const fate = name === undefined ? 'absent' : await fateAfter(error, store, heldWitness(name));
      if (fate === 'absent') {
        for (const one of staged) await one.dropped();
        for (const file of files) await spool.remove(file);
      }
      // Where nobody can say it the client is refused, and what is written goes its way.
      if (fate !== 'written') throw error;
    }
    for (const one of staged) one.committed();
    for (const { id, terms, recipients } of mails) {
      log.write({
        ...{ event: 'held.kept', level: 'info', mail: id, rule: terms.rule },
        ...{ recipients: recipients.length, until: expiresAt.toISOString() },
      });
    }
  }

  /** One for the whole mail, for those who wait by rules that ask. Who wants to hear of no failure (MAIL FROM:<>) is asked nothing. */
  async #question(
    mails: readonly MailToHold[],
    { heldAt, expiresAt }: { heldAt: Date; expiresAt: Date },
  ): Promise<MailToDeliver[]> {
    const { ownMails, addresses, links, settings } = this.#parts;
    const asking = mails.filter(({ terms }) => terms.ask);
    const [first] = asking;
    if (first === undefined || first.envelope.reversePath === null) return [];
    const { id, from, encryptable, shownSubject: subject } = first;
    const headerEnd = Math.min(encryptable.length, limits.mail.headerOctets);
    const token = settings.url === null ? null : links.toMail({ id, expiresAt });
    const question = questionMail({
      mail: { id, from, heldAt, expiresAt, subject },
      recipients: asking.flatMap(({ recipients, readable }) =>
        recipients.map((one) => ({
          ...{ address: mailboxText(one), because: one.because, maySend: readable !== null },
        })),
      ),
      introduced: asking.some(({ introduction }) => introduction !== null),
      replyTo: addresses.of(id, expiresAt),
      link: token === null ? null : `${settings.url}/held/${token}`,
      inReplyTo: messageIdIn(readHeaderAlone(await collectFrom(encryptable, 0, headerEnd)).fields),
    });
    return [await ownMails.compose(question)];
  }

  /** @throws SealgateError `holding.full` */
  async #room(): Promise<void> {
    if ((await countParts(this.#parts.store)) < limits.holding.mails) return;
    throw new SealgateError({
      code: 'holding.full',
      duration: 'temporary',
      publicText: 'The gateway keeps too much mail that waits for certificates; try again later.',
    });
  }
}

function mailboxText({ recipient }: MailToHold['recipients'][number]): string {
  return addressOf(recipient.mailbox).exact;
}

/** Decoded text may have anything in it. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, SUBJECT_CHARACTERS);
}

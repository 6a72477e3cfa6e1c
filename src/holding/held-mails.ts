import { unreachable } from '../errors.ts';
import type { MailId } from '../ids.ts';
import type { MailToDeliver } from '../queue/ports.ts';
import type { SqlStore } from '../store/sql-store.ts';
import { addressOf } from './address.ts';
import { failureReports, type ReportParts } from './failure-report.ts';
import { findHeld, listHeld } from './held-list.ts';
import type { Choice, ChoiceOutcome, HeldMail, HeldMails } from './held-mail.ts';
import { type HeldPart, isOfMail, type PartRecipient } from './held-rows.ts';
import { type HeldStore, isWaiting } from './held-store.ts';
import { inWords } from './in-words.ts';
import { sentByOperatorMail } from './question.ts';
import type { Releases } from './releases.ts';
import type { Turns } from './turns.ts';

export type HeldMailsParts = ReportParts & {
  store: SqlStore;
  held: HeldStore;
  releases: Releases;
  turns: Turns;
};

export type Chosen = {
  /** Addresses of those it is for; null: all who wait. */
  recipients: readonly string[] | null;
  /** For the log: an address, or an operator's login. */
  by: string;
  /** Somebody else than the sender has chosen, so that she is told what became of her mail. */
  forSender?: boolean;
  /** `send-signed` is for those to whom the rule lets the mail leave so; the others keep waiting. Else it is for all of them or nobody. */
  whereAllowed?: boolean;
};

/** Mail that waits, for its sender and for operators: what there is, and what they choose. */
export class WaitingMails implements HeldMails {
  readonly #parts: HeldMailsParts;

  constructor(parts: HeldMailsParts) {
    this.#parts = parts;
  }

  list(of: { from: string | null; limit: number }): Promise<readonly HeldMail[]> {
    return listHeld(this.#parts.store, of);
  }

  find(id: MailId): Promise<HeldMail | null> {
    return findHeld(this.#parts.store, id);
  }

  async choose(id: MailId, choice: Choice, chosen: Chosen): Promise<ChoiceOutcome> {
    const { held, turns } = this.#parts;
    return turns.of(id, async () => {
      const parts = await held.parts([isOfMail(id)]);
      if (parts.length === 0) return { kind: 'unknown' };
      const recipients = chosen.recipients?.map((address) => addressOf(address).exact) ?? null;
      const meant = { ...chosen, recipients };
      const refused = refusalOf(parts, recipients) ?? (await this.#carryOut(parts, choice, meant));
      if (refused !== null) return { kind: 'refused', publicText: refused };
      const mail = await this.find(id);
      return mail === null ? { kind: 'unknown' } : { kind: 'done', mail };
    });
  }

  /** @returns whole sentences where it was not done; null: it was */
  async #carryOut(parts: readonly HeldPart[], choice: Choice, chosen: Chosen): Promise<string | null> {
    const wanted = chosen.recipients === null ? null : new Set(chosen.recipients);
    const meant = parts.flatMap((part) => {
      const recipients = part.recipients.filter(
        (one) => isWaiting(one) && (wanted === null || wanted.has(one.address)),
      );
      return recipients.length === 0 ? [] : [{ part, recipients }];
    });
    switch (choice) {
      case 'wait':
        return null;
      case 'release':
        for (const { part, recipients } of meant) {
          await this.#parts.releases.tryNow(part, recipients, chosen.by);
        }
        return null;
      case 'send-signed':
        return this.#sendSigned(meant, chosen);
      case 'discard':
        for (const { part, recipients } of meant) {
          if (!(await this.#discard(part, recipients, chosen))) return TOO_LATE;
        }
        return null;
      default:
        return unreachable(choice);
    }
  }

  async #sendSigned(
    wanted: readonly Meant[],
    { by, forSender, whereAllowed }: Chosen,
  ): Promise<string | null> {
    const { held, releases, ownMails } = this.#parts;
    const meant = whereAllowed === true ? wanted.filter(({ part }) => part.readable) : wanted;
    if (meant.length === 0) return 'This mail may not be sent unless it is encrypted. It keeps waiting.';
    const forbidden = meant.filter(({ part }) => !part.readable);
    if (forbidden.length > 0) {
      const whom = forbidden.flatMap(({ recipients }) => recipients.map(({ address }) => address));
      return `To ${inWords(whom)} the mail may not be sent unless it is encrypted (rule ${forbidden[0]?.part.terms.rule}). Nothing was sent.`;
    }
    // All of it is opened before any of it leaves: a key that is away changes nothing.
    const opened = await Promise.all(
      meant.map(async (one) => ({ ...one, readable: (await held.content(one.part)).readable })),
    );
    for (const { part, recipients, readable } of opened) {
      // What the rule does not allow is not there; that was looked at before.
      if (readable === null) return TOO_LATE;
      const because = 'it was sent signed, not encrypted, as was chosen';
      const leaving = releases.leaving(part, recipients, readable);
      if (forSender === true) leaving.push(await ownMails.compose(sentByOperatorMail(part, recipients)));
      if (!(await held.settle(part, recipients, { state: 'leaving', because, by }, leaving))) return TOO_LATE;
    }
    return null;
  }

  async #discard(
    part: HeldPart,
    recipients: readonly PartRecipient[],
    { by, forSender }: Chosen,
  ): Promise<boolean> {
    const because =
      forSender === true ? 'it was discarded by an administrator of the gateway' : 'it was discarded';
    const told = recipients.map((one) => ({ ...one, because }));
    const reports: MailToDeliver[] =
      forSender === true ? failureReports(part, told, { expired: false, beginning: null }, this.#parts) : [];
    return this.#parts.held.settle(part, recipients, { state: 'discarded', because, by }, reports);
  }
}

type Meant = { part: HeldPart; recipients: readonly PartRecipient[] };

const TOO_LATE =
  'For somebody of those it was too late: the mail has left meanwhile, or its time is over. Look at it again.';

function refusalOf(parts: readonly HeldPart[], wanted: readonly string[] | null): string | null {
  const waiting = new Set(
    parts.flatMap(({ recipients }) => recipients.filter(isWaiting).map(({ address }) => address)),
  );
  if (waiting.size === 0) {
    return 'Nobody waits for this mail any more: it has left, was discarded, or its time is over.';
  }
  const others = wanted?.filter((address) => !waiting.has(address)) ?? [];
  if (others.length > 0) return `${inWords(others)} does not wait for this mail. Nothing was changed.`;
  return wanted?.length === 0 ? 'Nobody was chosen. Nothing was changed.' : null;
}

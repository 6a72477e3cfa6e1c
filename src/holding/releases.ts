import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import { collectFrom } from '../octets/collect.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Clock } from '../pipeline/ports.ts';
import type { HeldProtector } from '../pipeline/waiting.ts';
import type { MailToDeliver } from '../queue/ports.ts';
import type { SqlStore, Statement } from '../store/sql-store.ts';
import { failureReports, type ReportParts } from './failure-report.ts';
import type { StoredContent } from './held-content.ts';
import { type HeldPart, isOf, noteWaiting, type PartRecipient } from './held-rows.ts';
import { type HeldStore, isWaiting } from './held-store.ts';
import type { Turns } from './turns.ts';

export type ReleasesParts = ReportParts & {
  held: HeldStore;
  store: SqlStore;
  protector: HeldProtector;
  turns: Turns;
  /** How long a delivery is tried once it may leave. */
  deliveryMs: number;
  clock: Clock;
  log: Log;
};

/** Who decided, where nobody has. */
export const ITSELF = 'the gateway';

/**
 * Mail that waits, on its way out of waiting: encrypted where it can be now, given up where its time is over.
 *
 * Holds: each recipient gets a message of her own. Whoever's time is over is looked at a last time before that is said. Nothing is lost: what
 * cannot be done now is done at the next look.
 */
export class Releases {
  readonly #parts: ReleasesParts;

  constructor(parts: ReleasesParts) {
    this.#parts = parts;
  }

  /** One look at a part, in its mail's turn. @throws SealgateError `store.unavailable`, `queue.*` (temporary) */
  async look({ spool, id }: Pick<HeldPart, 'spool' | 'id'>): Promise<void> {
    const { held, turns, clock, log } = this.#parts;
    await turns.of(id, async () => {
      const [part] = await held.parts([isOf(spool)]);
      if (part === undefined) return;
      const isOver = part.expiresAt <= clock();
      try {
        await this.tryNow(part, part.recipients, ITSELF);
      } catch (error) {
        // A file that nobody can read must not keep its sender from hearing of it.
        if (!isOver || !(error instanceof SealgateError)) throw error;
        log.write({ ...{ event: 'held.not-now', level: 'warn', mail: id }, ...said(error) });
      }
      if (isOver) await this.#expire(spool);
    });
  }

  /**
   * Whoever of these waits and can be encrypted to now gets the mail. To be called in its turn.
   *
   * @throws SealgateError `store.unavailable`, `queue.*` (temporary)
   */
  async tryNow(part: HeldPart, recipients: readonly PartRecipient[], by: string): Promise<void> {
    const { held, protector } = this.#parts;
    let content: Promise<StoredContent> | null = null;
    const opened = () => {
      content ??= held.content(part);
      return content;
    };
    for (const one of recipients.filter(isWaiting)) {
      try {
        const now = await protector.protect(part, one.recipient, opened);
        if (now.kind === 'ready') {
          const leaving = this.leaving(part, [one], now.octets);
          try {
            await held.settle(part, [one], { state: 'leaving', because: 'it is encrypted', by }, leaving);
          } finally {
            await now.discard();
          }
        } else if (now.kind === 'waiting') {
          await this.#note(part, one, now.because);
        } else {
          const why = now.error.publicText.replace(/\.$/, '');
          await this.#notNow(
            part,
            one,
            now.error,
            `whether it can be encrypted could not be found out: ${why}`,
          );
        }
      } catch (error) {
        if (!(error instanceof SealgateError)) throw error;
        if (error.code === 'queue.damaged') {
          await this.#giveUp(part, 'what the gateway kept of it is damaged and cannot be read any more');
          return;
        }
        if (error.code !== 'key.unavailable') throw error;
        // The gateway's own key: nobody's copy can be made now.
        await this.#notNow(part, one, error, 'there is a certificate, but not the gateway’s own key');
        return;
      }
    }
  }

  /** What goes into the queue for these, in one message, and into the archive that the terms name. */
  leaving(
    { id, login, reversePath, mailParameters, terms }: HeldPart,
    recipients: readonly PartRecipient[],
    octets: OctetSource,
  ): MailToDeliver[] {
    const expiresAt = new Date(this.#parts.clock().getTime() + this.#parts.deliveryMs);
    const envelope = {
      reversePath,
      mailParameters,
      recipients: recipients.map(({ recipient }) => recipient),
    };
    const mail: MailToDeliver = {
      ...{ id, purpose: 'released', way: { kind: 'smtp' }, envelope, octets, expiresAt },
      requireTls: terms.requireTls,
    };
    if (terms.appendTo === null) return [mail];
    const archive = { localPart: terms.appendTo, domain: '' };
    return [
      mail,
      {
        ...{ id, purpose: 'archive', octets, expiresAt, requireTls: terms.requireTls },
        way: { kind: 'append', archive: terms.appendTo, login },
        envelope: {
          ...{ reversePath: null, mailParameters: [] },
          recipients: [{ mailbox: archive, parameters: [] }],
        },
      },
    ];
  }

  async #expire(spool: string): Promise<void> {
    const { held } = this.#parts;
    const [part] = await held.parts([isOf(spool)]);
    const waiting = part?.recipients.filter(isWaiting) ?? [];
    if (part === undefined || waiting.length === 0) return;
    const beginning = await this.#beginning(part).catch(unreadable);
    const reports = failureReports(part, waiting, { expired: true, beginning }, this.#parts);
    const because = 'it has waited for as long as it may';
    await held.settle(part, waiting, { state: 'expired', because, by: ITSELF }, reports);
  }

  /** The header of a mail, and some of what follows. */
  async #beginning(part: HeldPart): Promise<Buffer> {
    const { encryptable } = await this.#parts.held.content(part);
    return collectFrom(encryptable, 0, Math.min(encryptable.length, limits.mail.headerOctets + 4));
  }

  async #giveUp({ spool }: HeldPart, because: string): Promise<void> {
    const { held } = this.#parts;
    // Somebody may have settled the last of it meanwhile, and its file is gone for that reason.
    const [part] = await held.parts([isOf(spool)]);
    const waiting = part?.recipients.filter(isWaiting) ?? [];
    if (part === undefined || waiting.length === 0) return;
    const lost = waiting.map((one) => ({ ...one, because }));
    const reports = failureReports(part, lost, { expired: false, beginning: null }, this.#parts);
    await held.settle(part, waiting, { state: 'expired', because, by: ITSELF }, reports);
  }

  async #note({ spool }: HeldPart, { position }: PartRecipient, because: string): Promise<boolean> {
    const noted: Statement = noteWaiting(spool, position, because);
    return (await this.#parts.store.query(noted)).length > 0;
  }

  async #notNow(part: HeldPart, one: PartRecipient, error: SealgateError, because: string): Promise<void> {
    // Said once, and not at every look.
    if (await this.#note(part, one, because)) {
      this.#parts.log.write({ ...{ event: 'held.not-now', level: 'warn', mail: part.id }, ...said(error) });
    }
  }
}

function said({ code, message }: SealgateError): { code: string; reason: string } {
  return { code, reason: message };
}

function unreadable(error: unknown): null {
  if (error instanceof SealgateError) return null;
  throw error;
}

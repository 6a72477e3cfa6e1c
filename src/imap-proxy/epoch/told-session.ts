import { SealgateError } from '../../errors.ts';
import type { SessionId } from '../../ids.ts';
import type { Log } from '../../log/log.ts';
import type { FoundMailbox, LoginEpochs } from '../../reading/epochs/login-epochs.ts';
import { toldNow } from '../../reading/epochs/told-uid-validity.ts';
import { readMailboxName } from '../append/mailbox-name.ts';
import type { Pending } from '../pending.ts';
import {
  mayHaveCode,
  type SaidInCode,
  saidInCode,
  saidInStatus,
  withoutCode,
  withUidValidity,
} from './told-codes.ts';

type Told = { name: string; upstream: number; told: number };

/** A mailbox that is being selected, and what is known of it. */
export type Selecting = FoundMailbox & { name: string; key: string | null };

export type ToldSessionParts = { login: LoginEpochs; session: SessionId; log: Log };

/**
 * The UIDVALIDITY of mailboxes as one session tells it. Within the gateway there is no other one: what the mail server says is replaced
 * when it comes, what the client says when it goes.
 *
 * Holds: the selected mailbox keeps what was told of it until another one is selected, whatever epoch is begun meanwhile.
 */
export class ToldSession {
  readonly #parts: ToldSessionParts;
  #selected: Told | null = null;
  #selecting: Selecting | null = null;
  #found: FoundMailbox | null = null;

  constructor(parts: ToldSessionParts) {
    this.#parts = parts;
  }

  /** Whether anything may be told otherwise than by the mail server. */
  get isActive(): boolean {
    return this.#parts.login.isActive || this.#selecting !== null;
  }

  find(name: string, key: string | null): Promise<FoundMailbox> {
    return this.#parts.login.find(name, key);
  }

  /**
   * Another mailbox, or none, is being selected.
   *
   * @param selecting null: it is told as the mail server has it
   * @param found what is known of it then
   */
  select(selecting: Selecting | null, found: FoundMailbox | null): void {
    this.#selected = null;
    this.#selecting = selecting;
    this.#found = found;
  }

  /** It is selected; null: none is. `mailboxId`: what the mail server says it is. */
  selected(name: string | null, uidValidity: number, mailboxId: string | undefined): void {
    const wasTold = this.#selecting !== null;
    this.#selecting = null;
    if (name === null || uidValidity === 0) {
      this.#selected = null;
      return;
    }
    if (wasTold) return;
    this.#selected = { name, upstream: uidValidity, told: uidValidity };
    // What clients have heard has to be known when an epoch begins; that it cannot be written down changes nothing now.
    const key = mailboxId === undefined ? null : `id ${mailboxId}`;
    const named = this.#found?.named ?? null;
    const now = { key: key ?? named?.key ?? '', upstream: uidValidity, due: 0, seconds: 0 };
    const isNews = toldNow(named, null, now);
    if (isNews.kind === 'told' && !isNews.changed) return;
    this.#parts.login
      .resolve(name, { key, upstream: uidValidity, due: 0 })
      .catch((error) => this.#tell(error));
  }

  /** What the mail server's UIDVALIDITY is where the client has the one of now of what it selects; null: it has another one. */
  upstreamOf({ name, key, named, moved, due }: Selecting, told: number): number | null {
    if (named === null && moved === null) return due === 0 ? told : null;
    for (const row of [named, moved]) {
      if (row === null || row.told !== told) continue;
      const { upstream } = row;
      const known = key ?? named?.key ?? `name ${name}`;
      const now = toldNow(named, moved, { key: known, upstream, due, seconds: 0 });
      if (now.kind !== 'exhausted' && now.row.told === told) return upstream;
    }
    return null;
  }

  /**
   * A status response of the mail server, as the client gets it.
   *
   * @param tag null: it is untagged
   * @throws SealgateError `store.unavailable` (temporary), `epoch.exhausted`, `imap.protocol` (permanent)
   */
  line(line: Buffer, tag: string | null, pending: ReadonlyMap<string, Pending>): Buffer | Promise<Buffer> {
    if (!this.isActive) return line;
    const said = saidInCode(line);
    if (said === null) {
      if (mayHaveCode(line)) throw changed('a UIDVALIDITY in no grammar');
      return line;
    }
    if (said.code === 'UIDVALIDITY') return this.#ofSelected(line, said);
    const mailbox = mailboxOf(said, tag, pending);
    const name = mailbox === 'selected' ? (this.#selected?.name ?? null) : mailbox;
    // What has another UIDVALIDITY now is told as another mailbox by what says so for certain: SELECT and STATUS name it themselves.
    const told = name === null ? null : this.#known(name, said.uidValidity);
    return told === null ? withoutCode(line, said) : withUidValidity(line, said, told);
  }

  /** A whole untagged STATUS response, as the client gets it; empty: not at all. */
  status(response: Buffer): Buffer | Promise<Buffer> {
    const said = saidInStatus(response);
    if (said === null) return response;
    if (said === 'unreadable') return Buffer.alloc(0);
    const name = readMailboxName(said.mailbox);
    return this.#as(name, said.uidValidity, (told) => withUidValidity(response, said, told));
  }

  /** A mailbox has another name, with everything below it. Never rejects. */
  async renamed(from: string, to: string, delimiter: string | null): Promise<void> {
    try {
      await this.#parts.login.renamed(from, to, delimiter);
    } catch (error) {
      this.#tell(error);
    }
  }

  #ofSelected(line: Buffer, said: SaidInCode): Buffer | Promise<Buffer> {
    const { uidValidity: upstream } = said;
    const selecting = this.#selecting;
    if (selecting === null) {
      // Of a mailbox that was selected before there was any epoch, it is what the mail server says.
      if (this.#selected === null) return line;
      if (this.#selected.upstream !== upstream) throw changed('UIDVALIDITY changed in a selected mailbox');
      return withUidValidity(line, said, this.#selected.told);
    }
    return this.#select(selecting, upstream).then((told) => withUidValidity(line, said, told));
  }

  async #select({ name, key, due }: Selecting, upstream: number): Promise<number> {
    const { login, log, session } = this.#parts;
    const { told, epoch } = await login.resolve(name, { key, upstream, due });
    if (epoch === 'begun') log.write({ event: 'mailbox.epoch-begun', level: 'info', session, told });
    if (epoch === 'cannot-begin') {
      log.write({ event: 'mailbox.epoch-not-begun', level: 'error', session, told });
    }
    this.#selected = { name, upstream, told };
    return told;
  }

  #as(name: string, upstream: number, said: (told: number) => Buffer): Buffer | Promise<Buffer> {
    const told = this.#known(name, upstream);
    if (told !== null) return said(told);
    return this.#parts.login
      .resolve(name, { key: null, upstream, due: 0 })
      .then((resolved) => said(resolved.told));
  }

  /** null: it is told of anew. */
  #known(name: string, upstream: number): number | null {
    const selected = this.#selected;
    if (selected?.name === name && selected.upstream === upstream) return selected.told;
    return this.#parts.login.told(name, upstream);
  }

  #tell(error: unknown): void {
    const { log, session } = this.#parts;
    const reason = error instanceof SealgateError ? (error.reason ?? error.code) : String(error);
    log.write({ event: 'mailbox.epochs-unavailable', level: 'error', session, reason });
  }
}

/** Into which mailbox messages went; null: nobody knows. */
function mailboxOf(
  { code }: SaidInCode,
  tag: string | null,
  pending: ReadonlyMap<string, Pending>,
): string | 'selected' | null {
  const about = tag === null ? oldest(code, pending) : (pending.get(tag) ?? null);
  // The gateway itself moves and copies messages to where they are (refresh/give-new-uid.ts).
  if (about?.kind === 'injected') return 'selected';
  if (about === null || about.mailbox === '') return null;
  return readMailboxName(Buffer.from(about.mailbox, 'latin1'));
}

/** RFC 6851 §4.3 and RFC 8508 §3.4 have it in an untagged response, ahead of the tagged one. */
function oldest(code: SaidInCode['code'], pending: ReadonlyMap<string, Pending>): Pending | null {
  for (const each of pending.values()) {
    if (each.settled) continue;
    if (each.kind === 'injected') return each;
    if (each.kind !== 'client' || each.copies !== (code === 'COPYUID')) continue;
    if (each.copies || each.mailbox !== '') return each;
  }
  return null;
}

function changed(reason: string): SealgateError {
  return new SealgateError({
    code: 'imap.protocol',
    publicText: 'The mailbox was changed. Connect again.',
    duration: 'permanent',
    reason,
  });
}

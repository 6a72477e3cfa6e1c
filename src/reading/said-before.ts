import { SealgateError } from '../errors.ts';
import type { ViewKind } from '../mail-view/message-class.ts';
import type { Annotation } from '../mail-view/render.ts';
import { EnteredMailbox } from './entered-mailbox.ts';
import {
  type ForeignMessages,
  foreignAtEntry,
  isUndecided,
  withFound,
  withShown,
} from './foreign-messages.ts';
import { backlogEras, clearSignedEras, eraOf, erasWith } from './message-eras.ts';
import type { RecordSeal } from './record-seal.ts';
import type { RecordedMailbox, RecordedMailboxes } from './recorded-mailbox.ts';
import { messageKey, type SelectedMailbox, type StoredMessage } from './stored-message.ts';
import type { MailboxPlace, ViewRecord } from './view-records.ts';

/** What was said of a message when it was opened first. */
export type Said = {
  annotation: Annotation;
  /** SHA-256 of the view; null: of this message none was made yet, only of the one it is a copy of. */
  sha256: Buffer | null;
  /** Octets of a view that has not the size of its original; null: it has. */
  size: number | null;
  /** Whether anything of it was given out; not of a copy that was not opened yet. */
  served: boolean;
  /** Of the renderer that made the view. */
  version: number;
};

export type SaidBeforeParts = {
  /** null: nothing is kept beyond the session. */
  recorded: RecordedMailboxes | null;
  seal: RecordSeal;
  hasKeys: boolean;
  /** How many messages of a mailbox that is seen for the first time are opened; the newest. null: all. */
  backlog: number | null;
  /** What clear-signed messages are that arrive from now on. */
  clearSigned: 'overlay' | 'identity';
  /** Whether it is asked of encrypted messages for whom they are before anything is said of them. */
  foreign: 'shell-first' | 'peek-first';
};

/** Of what records hold, so much is kept at hand. */
const AT_HAND = 500;

/**
 * What one session knows of what was said before: by itself, by others of the same login, and before the last restart.
 *
 * Where it throws SealgateError: `store.unavailable` (temporary), `view.record-damaged` (permanent).
 */
export class SaidBefore {
  readonly #parts: SaidBeforeParts;
  /** Messages of the mailbox were overlaid when they came. */
  #overlays = false;
  readonly #atHand = new Map<string, Said>();
  /** null: nothing is kept beyond the session. */
  readonly #entered: EnteredMailbox | null;

  constructor(parts: SaidBeforeParts) {
    this.#parts = parts;
    this.#entered = parts.recorded === null ? null : new EnteredMailbox(parts.recorded);
  }

  /** Another mailbox, or none, from now on. */
  forget(): void {
    this.#atHand.clear();
    this.#overlays = false;
    this.#entered?.leave();
  }

  end(): void {
    this.forget();
    this.#entered?.end();
  }

  async enter(selected: SelectedMailbox): Promise<void> {
    const { recorded, hasKeys, clearSigned, foreign } = this.#parts;
    const place = this.#placeOfMailbox(selected);
    if (recorded === null || this.#entered === null || place === null) return;
    const mailbox = await this.#entered.enter(place);
    const kind = hasKeys ? 'shell' : 'identity';
    const isNew = mailbox.eras.encrypted.length === 0;
    const first = isNew && kind === 'shell' ? await this.#backlog(selected) : null;
    const { uidNext } = selected;
    await mailbox.change(recorded.records, (before) => {
      const eras = {
        encrypted:
          (before.encrypted.length === 0 ? first : null) ?? erasWith(before.encrypted, kind, uidNext),
        clearSigned: clearSignedEras(before, clearSigned, uidNext),
        foreign: foreignAtEntry(before.foreign, foreign, before.encrypted.length === 0, uidNext),
      };
      this.#overlays = eras.clearSigned.some((each) => each.kind === 'overlay');
      const same =
        eras.encrypted === before.encrypted &&
        eras.clearSigned === before.clearSigned &&
        eras.foreign === before.foreign;
      return same ? before : eras;
    });
  }

  /** null: all messages, or nobody can tell which. */
  async #backlog({ exists, uidOf }: SelectedMailbox) {
    const { backlog } = this.#parts;
    if (backlog === null || exists <= backlog || uidOf === undefined) return null;
    const from = await uidOf(exists - backlog + 1);
    return from === null ? null : backlogEras(from);
  }

  /** What a message's class was before keys came or went; null: it is what its class says now. */
  era(message: StoredMessage): ViewKind | null {
    const eras = this.#mailboxOf(message)?.eras.encrypted ?? [];
    if (message.protocol !== 'imap') return null;
    return this.isForeign(message) ? 'identity' : eraOf(eras, message.uid);
  }

  /** Whether an encrypted message is shown as it is stored, for it was found to be for somebody else. */
  isForeign(message: StoredMessage): boolean {
    // Asked of every message of a listing: no name is made of each where none can be found.
    const foreign = this.foreign?.foreign;
    if (foreign === undefined || foreign.size === 0 || message.protocol !== 'imap') return false;
    return foreign.has(message.uid) && this.#mailboxOf(message) !== null;
  }

  /** What is known of the mailbox that is entered; null: it is not asked in it. */
  get foreign(): ForeignMessages | null {
    return this.#entered?.now?.eras.foreign ?? null;
  }

  /** Says for whom messages below a UID are; of those of which something was said meanwhile, that stays. */
  async found(foreign: { from: number; foreign: readonly number[] }): Promise<void> {
    const mailbox = await this.#entered?.mailbox;
    const { recorded } = this.#parts;
    if (recorded === null || !mailbox) return;
    await mailbox.change(recorded.records, (eras) => {
      if (eras.foreign?.asking !== true) return eras;
      const unsaid = foreign.foreign.filter((uid) => mailbox.get(String(uid)) === null);
      return { ...eras, foreign: withFound(eras.foreign, { ...foreign, foreign: unsaid }) };
    });
  }

  /** null: it is decided what it is. Otherwise it is shown opened from now on, as nobody has asked. */
  #showUndecided(message: StoredMessage): Promise<void> | null {
    const { recorded } = this.#parts;
    const mailbox = this.#mailboxOf(message);
    const foreign = mailbox?.eras.foreign ?? null;
    if (recorded === null || mailbox === null || foreign === null || message.protocol !== 'imap') return null;
    const { uid, overlaid } = message;
    if (overlaid === true || !isUndecided(foreign, uid)) return null;
    return mailbox.change(recorded.records, (eras) => {
      const shown = eras.foreign === null ? null : withShown(eras.foreign, uid);
      return shown === null ? eras : { ...eras, foreign: shown };
    });
  }

  /** Whether any clear-signed message of the mailbox may have a status. */
  get mayBeOverlaid(): boolean {
    return this.#parts.clearSigned === 'overlay' || this.#overlays;
  }

  /** The same of clear-signed messages. */
  clearSignedEra(message: StoredMessage): ViewKind | null {
    const eras = this.#mailboxOf(message)?.eras;
    if (eras === undefined || message.protocol !== 'imap') return null;
    // Somebody saw the mailbox when none were overlaid.
    return eras.clearSigned.length === 0 ? 'identity' : eraOf(eras.clearSigned, message.uid);
  }

  /** Whether it was opened before. */
  has(message: StoredMessage): boolean {
    // Asked of every message of a listing: no name is made of each where none can be found.
    if (this.#atHand.size === 0 && this.#entered?.isEmpty !== false) return false;
    return this.#atHand.has(messageKey(message)) || this.#recordedOf(message) !== null;
  }

  /** What was said of it, where that is at hand. */
  atHand(message: StoredMessage): Said | null {
    return this.#atHand.get(messageKey(message)) ?? null;
  }

  /** Octets of a view that was made before and is not as long as its original; null: none that is known. */
  size(message: StoredMessage): number | null {
    return this.atHand(message)?.size ?? this.#recordedOf(message)?.size ?? null;
  }

  /** null: it is at hand, or there is nothing. Rejects as `find` does. */
  recall(message: StoredMessage): Promise<unknown> | null {
    const deciding = this.#showUndecided(message);
    if (deciding !== null) return deciding.then(() => this.recall(message));
    if (this.#entered === null || this.#atHand.has(messageKey(message))) return null;
    const mailbox = this.#mailboxOf(message);
    if (mailbox !== null && mailbox.get(nameOf(message)) === null) return null;
    return this.find(message);
  }

  async find(message: StoredMessage): Promise<Said | null> {
    const known = this.atHand(message);
    const { recorded } = this.#parts;
    const place = this.#placeOf(message);
    if (known !== null || recorded === null || this.#entered === null || place === null) return known;
    return this.#entered.within(place, async (mailbox) => {
      if (mailbox.get(nameOf(message)) === null) return null;
      const record = await recorded.records.find(mailbox.id, nameOf(message));
      // Its mailbox was deleted while this session has it: what was said of it is not known any more, and was said.
      if (record === null) throw recordGone();
      return this.#keep(message, this.#unsealed(message, record));
    });
  }

  /** What was served by another renderer comes out otherwise: it needs a new UID. */
  async outdated(message: StoredMessage): Promise<void> {
    const { recorded } = this.#parts;
    const place = this.#placeOf(message);
    if (recorded === null || this.#entered === null || place === null) return;
    await this.#entered.within(place, (mailbox) => recorded.records.setOutdated(mailbox.id, nameOf(message)));
    if (message.protocol === 'imap') await recorded.needEpoch?.(place.reader, place.name);
  }

  /** UIDs of messages in the mailbox that is entered of which that is known. */
  async allOutdated(): Promise<readonly number[]> {
    const { recorded } = this.#parts;
    const mailbox = await this.#entered?.mailbox;
    if (recorded === null || !mailbox) return [];
    return (await recorded.records.outdated(mailbox.id)).map((name) =>
      Number(name.replace(/^overlaid /, '')),
    );
  }

  /**
   * Says it, for good, unless somebody else was first: what is returned counts.
   *
   * @param instead whether something was said before of which nothing was served
   */
  async say(message: StoredMessage, said: Said, instead: boolean): Promise<Said> {
    const { recorded, seal } = this.#parts;
    const place = this.#placeOf(message);
    // By POP3 the original is served where nothing was opened, so that nothing is promised for later.
    const promisesNothing = message.protocol === 'pop3' && said.annotation.kind !== 'opened';
    if (recorded === null || this.#entered === null || place === null || promisesNothing) {
      return this.#keep(message, said);
    }
    const name = nameOf(message);
    const record: ViewRecord = {
      ...{ kind: said.annotation.kind, version: said.version, sha256: said.sha256, served: said.served },
      ...{ size: said.size, header: said.annotation.header !== null },
      sealed: seal.seal(messageKeyOf(place, name), said.annotation),
    };
    return this.#entered.within(place, async (mailbox) => {
      const now = instead
        ? await recorded.records.replace(mailbox.id, name, record)
        : await recorded.records.add(mailbox.id, name, record);
      mailbox.note({ message: name, size: now.size, header: now.header });
      return this.#keep(message, this.#unsealed(message, now));
    });
  }

  /** Messages of the mailbox that is entered, served with that kind. */
  async servedAs(kind: Annotation['kind']): Promise<readonly string[]> {
    const { recorded } = this.#parts;
    const mailbox = await this.#entered?.mailbox;
    return recorded === null || !mailbox ? [] : recorded.records.servedAs(mailbox.id, kind);
  }

  /** Copies say what their originals said; no view of them was made yet. */
  async copied(uids: readonly number[], to: CopiedTo): Promise<void> {
    const { recorded, seal } = this.#parts;
    const source = await this.#entered?.mailbox;
    if (recorded === null || !source) return;
    const place = this.#placeOfMailbox({ ...to, name: to.mailbox });
    if (place === null) return;
    let target: { mailbox: RecordedMailbox; leave: () => void } | null = null;
    try {
      for (const [at, uid] of uids.entries()) {
        const next = to.uids[at];
        if (next === undefined || source.get(String(uid)) === null) continue;
        const record = await recorded.records.find(source.id, String(uid));
        if (record === null) continue;
        const annotation = this.#readable(messageKeyOf(source.place, String(uid)), record);
        if (annotation === null) continue;
        target ??= await recorded.enter(place);
        const name = String(next);
        const sealed = seal.seal(messageKeyOf(place, name), annotation);
        const copy = { ...record, sha256: null, served: false, sealed };
        const { size, header } = await recorded.records.add(target.mailbox.id, name, copy);
        target.mailbox.note({ message: name, size, header });
      }
    } finally {
      target?.leave();
    }
  }

  /** null: it is damaged. Its copy is told of anew, which is what people are told to make one for. */
  #readable(name: string, { sealed }: ViewRecord): Annotation | null {
    try {
      return this.#parts.seal.unseal(name, sealed);
    } catch (error) {
      if (error instanceof SealgateError) return null;
      throw error;
    }
  }

  async renamed(from: string, to: string, delimiter: string | null): Promise<void> {
    await this.#parts.recorded?.records.renamed(this.#parts.seal.reader, from, to, delimiter);
  }

  async deleted(name: string): Promise<void> {
    await this.#parts.recorded?.records.deleted(this.#parts.seal.reader, name);
  }

  #keep(message: StoredMessage, said: Said): Said {
    if (this.#parts.recorded !== null) {
      for (const oldest of this.#atHand.keys()) {
        if (this.#atHand.size < AT_HAND) break;
        this.#atHand.delete(oldest);
      }
    }
    this.#atHand.set(messageKey(message), said);
    return said;
  }

  #unsealed(message: StoredMessage, { sealed, sha256, size, served, version }: ViewRecord): Said {
    const place = this.#placeOf(message);
    if (place === null) throw new Error('a record of a message without a place');
    const annotation = this.#parts.seal.unseal(messageKeyOf(place, nameOf(message)), sealed);
    return { annotation, sha256: sha256 === null ? null : Buffer.from(sha256), size, served, version };
  }

  /** The mailbox of a message, where it is entered and there. */
  #mailboxOf(message: StoredMessage): RecordedMailbox | null {
    const place = this.#placeOf(message);
    return place === null ? null : (this.#entered?.at(place) ?? null);
  }

  #recordedOf(message: StoredMessage) {
    return this.#mailboxOf(message)?.get(nameOf(message)) ?? null;
  }

  #placeOf(message: StoredMessage): MailboxPlace | null {
    if (message.protocol === 'imap') return this.#placeOfMailbox({ ...message, name: message.mailbox });
    return { reader: this.#parts.seal.reader, key: 'pop3', name: '', uidValidity: 0 };
  }

  /** null: a server that tells no UIDVALIDITY promises nothing. */
  #placeOfMailbox(mailbox: { name: string; mailboxId?: string; uidValidity: number }): MailboxPlace | null {
    const { name, mailboxId, uidValidity } = mailbox;
    if (uidValidity === 0) return null;
    const key = mailboxId === undefined ? `name ${name}` : `id ${mailboxId}`;
    return { reader: this.#parts.seal.reader, key, name, uidValidity };
  }
}

/** What COPYUID (RFC 4315 §3) says of the copies: in the order of their originals. */
export type CopiedTo = { mailbox: string; mailboxId?: string; uidValidity: number; uids: readonly number[] };

function recordGone(): SealgateError {
  return new SealgateError({
    code: 'view.record-gone',
    publicText: 'What was shown of this message before is not there any more. Select its mailbox again.',
    duration: 'temporary',
  });
}

/** What a record is sealed to; a mailbox may get another name. */
function messageKeyOf({ uidValidity }: MailboxPlace, name: string): string {
  return `${uidValidity} ${name}`;
}

function nameOf(message: StoredMessage): string {
  if (message.protocol === 'pop3') return message.uidl;
  return message.overlaid === true ? `overlaid ${message.uid}` : String(message.uid);
}

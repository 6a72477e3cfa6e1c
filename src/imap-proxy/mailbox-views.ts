import type { MessageClass, ViewKind } from '../mail-view/message-class.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import type { ShownHeader } from '../mail-view/render.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Patience } from '../pipeline/ports.ts';
import type { AtRestMessages } from '../reading/at-rest-messages.ts';
import { type OpenedView, type ReaderOptions, ReaderViews } from '../reading/reader-views.ts';
import { SearchTexts } from '../reading/search-texts.ts';
import type { StoredMessage } from '../reading/stored-message.ts';
import type { OpenedMessage } from './search/merged-search.ts';
import { UnfinishedHeaders } from './unfinished-headers.ts';

/** Messages of one mailbox whose class is remembered. */
const REMEMBERED = 200_000;

/**
 * What one session knows of the selected mailbox: which messages are S/MIME, and their views.
 *
 * Holds: within the session a (UIDVALIDITY, UID) keeps its class and its octets.
 */
export class MailboxViews {
  readonly #reader: ReaderViews;
  #mailbox = '';
  #uidValidity = 0;
  readonly #kinds = new Map<number, ViewKind>();
  /** Of messages shown as stored. */
  readonly headers = new UnfinishedHeaders();
  readonly #texts = new SearchTexts();

  /** Messages that lie encrypted at rest; null: there are none for this login. */
  readonly atRest: AtRestMessages | null;

  constructor(options: ReaderOptions, atRest: AtRestMessages | null = null) {
    this.atRest = atRest;
    this.#reader = new ReaderViews(options);
  }

  get login(): string {
    return this.#reader.login;
  }

  get names(): ViewNames {
    return this.#reader.names;
  }

  /** Another mailbox, or none, is selected. 0: the server told no UIDVALIDITY. */
  select(uidValidity: number, mailbox: string = this.#mailbox): void {
    this.#uidValidity = uidValidity;
    this.#mailbox = mailbox;
    this.#kinds.clear();
    this.#reader.forget();
    // Without a name or UIDVALIDITY the next mailbox could be taken for this one.
    this.#texts.forget((each) => each.protocol === 'imap' && (each.mailbox === '' || each.uidValidity === 0));
    this.headers.clear();
    this.atRest?.forget();
  }

  /** As the client named it, decoded from quotes, latin1; empty where none is selected or its name was not read. */
  get mailbox(): string {
    return this.#mailbox;
  }

  get uidValidity(): number {
    return this.#uidValidity;
  }

  kindOf(messageClass: MessageClass): ViewKind {
    return this.#reader.kindOf(messageClass);
  }

  /** null: not seen yet. */
  known(uid: number): ViewKind | null {
    return this.#kinds.get(uid) ?? null;
  }

  /** The first answer stays. */
  learn(uid: number, kind: ViewKind): void {
    if (this.#kinds.has(uid)) return;
    if (this.#kinds.size >= REMEMBERED) this.#kinds.clear();
    this.#kinds.set(uid, kind);
  }

  boundary(uid: number): string {
    return this.#reader.boundary(this.#message(uid));
  }

  shownHeader(uid: number): ShownHeader | null {
    return this.#reader.shownHeader(this.#message(uid));
  }

  cached(uid: number): MessageView | null {
    if (this.atRest?.has(uid) === true) return this.atRest.cached(uid);
    return this.#reader.cached(this.#message(uid));
  }

  async open(uid: number, original: OctetSource, patience: Patience): Promise<OpenedView> {
    const message = this.#message(uid);
    const stored = (await this.atRest?.open(uid, original, patience)) ?? null;
    const opened = stored ?? (await this.#reader.open(message, original, patience));
    if (opened.kind === 'view') await this.#texts.keep(message, opened.view);
    return opened;
  }

  observe(octets: OctetSource): Promise<void> {
    return this.#reader.observe(octets);
  }

  /** Messages of this mailbox that were opened and whose words are at hand, by UID. */
  opened(): Map<number, OpenedMessage> {
    const [mailbox, uidValidity] = [this.#mailbox, this.#uidValidity];
    const here = this.#texts.of(
      (each) => each.protocol === 'imap' && each.mailbox === mailbox && each.uidValidity === uidValidity,
    );
    const opened = new Map<number, OpenedMessage>();
    for (const { message, text } of here) {
      if (message.protocol !== 'imap') continue;
      opened.set(message.uid, { text, protectedHeader: this.shownHeader(message.uid) !== null });
    }
    return opened;
  }

  #message(uid: number): StoredMessage {
    return { protocol: 'imap', mailbox: this.#mailbox, uidValidity: this.#uidValidity, uid };
  }
}

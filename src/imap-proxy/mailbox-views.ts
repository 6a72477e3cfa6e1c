import type { MessageClass, ViewKind } from '../mail-view/message-class.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import type { ShownHeader } from '../mail-view/render.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Patience } from '../pipeline/ports.ts';
import { type OpenedView, type ReaderOptions, ReaderViews } from '../reading/reader-views.ts';
import type { StoredMessage } from '../reading/stored-message.ts';
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

  constructor(options: ReaderOptions) {
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
    this.headers.clear();
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
    return this.#reader.cached(this.#message(uid));
  }

  open(uid: number, original: OctetSource, patience: Patience): Promise<OpenedView> {
    return this.#reader.open(this.#message(uid), original, patience);
  }

  observe(octets: OctetSource): Promise<void> {
    return this.#reader.observe(octets);
  }

  #message(uid: number): StoredMessage {
    return { protocol: 'imap', mailbox: this.#mailbox, uidValidity: this.#uidValidity, uid };
  }
}

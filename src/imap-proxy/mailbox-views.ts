import { SealgateError } from '../errors.ts';
import type { AtRestMark } from '../mail-view/at-rest-marker.ts';
import type { MessageClass, ViewKind } from '../mail-view/message-class.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import type { ShownHeader } from '../mail-view/render.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Patience } from '../pipeline/ports.ts';
import type { AtRestMessages } from '../reading/at-rest-messages.ts';
import { type OpenedView, type ReaderOptions, ReaderViews } from '../reading/reader-views.ts';
import type { SearchText } from '../reading/search-text.ts';
import { SearchTexts } from '../reading/search-texts.ts';
import type { SelectedMailbox, StoredMessage } from '../reading/stored-message.ts';
import { readMailboxName } from './append/mailbox-name.ts';
import type { ClientId } from './client-id.ts';
import type { Copied } from './copied-messages.ts';
import type { ListingKind } from './fetch-plan.ts';
import type { OwedKeywords } from './keywords/owed-keywords.ts';
import type { OpenedMessage } from './search/merged-search.ts';
import type { MailboxNews } from './server-line.ts';
import { UnfinishedHeaders } from './unfinished-headers.ts';
import type { WarmUp } from './warm-up/warm-up.ts';

/** Messages of one mailbox whose class is remembered. */
const REMEMBERED = 200_000;

/** What a listing says of a message in the shell. */
export type ListedMessage = {
  /** Everything but its header is as the server says. */
  overlaid: boolean;
  /** Of one that lies encrypted at rest; null: of any other. */
  mark: AtRestMark | null;
  /** Of one that was opened: what its view has in the place of stored header fields; null: nothing. */
  header: ShownHeader | null;
  /** MIME-Version and Content-* fields, lines; null: only its view tells. */
  shell: readonly string[] | null;
  /** null: only its view tells. */
  size: number | 'as-announced' | null;
  /** First words of one that this session has opened, and of which something was shown; null: of any other. */
  preview: () => string | null;
};

const NO_MAILBOX: SelectedMailbox = { name: '', uidValidity: 0, uidNext: null, exists: 0 };

/**
 * What one session knows of the selected mailbox: which messages are S/MIME, and their views.
 *
 * Holds: within the session a (UIDVALIDITY, UID) keeps its class and its octets.
 */
export class MailboxViews {
  readonly #reader: ReaderViews;
  #mailbox = '';
  #selected: SelectedMailbox = NO_MAILBOX;
  /** Asked of every response; another one when the client has said who it is. */
  #listing: ListingKind | null = null;
  readonly #kinds = new Map<number, ViewKind>();
  /** Those of kind `overlay`, all of them. */
  readonly #overlaid = new Set<number>();
  /** Of messages shown as stored. */
  readonly headers = new UnfinishedHeaders();
  readonly #texts = new SearchTexts();
  /** Messages of former sessions whose words can be looked into, and whether they show header fields that are not those stored. */
  #before: ReadonlyMap<number, boolean> = new Map();

  /** Messages that lie encrypted at rest; null: there are none for this login. */
  readonly atRest: AtRestMessages | null;

  /** Those to be set in the mail server's mailbox; null: none ever. */
  readonly keywords: OwedKeywords | null;
  /** What is opened before its client asks; null: nothing. */
  readonly warmUp: WarmUp | null;
  /** Another one for each mailbox that is selected. */
  #selection = 0;

  constructor(
    options: ReaderOptions,
    atRest: AtRestMessages | null = null,
    keywords: OwedKeywords | null = null,
    warmUp: WarmUp | null = null,
  ) {
    this.warmUp = warmUp;
    this.atRest = atRest;
    this.keywords = keywords;
    this.#reader = new ReaderViews(options);
  }

  get login(): string {
    return this.#reader.login;
  }

  /** What the client says of itself (RFC 2971 §3.3). */
  identify(client: ClientId): void {
    const name = client.find(([field]) => field.toLowerCase() === 'name')?.[1];
    if (typeof name === 'string') this.#reader.identify(name);
    this.#listing = null;
  }

  get names(): ViewNames {
    return this.#reader.names;
  }

  /** Another mailbox, or none, is being selected. */
  select(): void {
    this.#selected = NO_MAILBOX;
    this.#selection++;
    this.keywords?.selected(false);
    this.warmUp?.selected();
    this.#mailbox = '';
    this.#kinds.clear();
    this.#overlaid.clear();
    this.#listing = null;
    this.#reader.forget();
    // Without a name or UIDVALIDITY the next mailbox could be taken for this one.
    this.#texts.forget((each) => each.protocol === 'imap' && (each.mailbox === '' || each.uidValidity === 0));
    this.headers.clear();
    this.#before = new Map();
    this.atRest?.forget();
  }

  /** The session ends. */
  end(): void {
    this.select();
    this.atRest?.end();
    this.#reader.end();
    this.#texts.end();
  }

  /** What the server says of it. */
  hear(news: MailboxNews): void {
    this.#selected = { ...this.#selected, ...news };
  }

  /**
   * It is selected; resolves before anything of its messages may be said.
   *
   * @param mailbox as its client wrote it, without quotes, latin1
   * @param uidOf asks the server for the UID of a message by its number; null: it did not say
   */
  async enter(mailbox: string, uidOf: (msn: number) => Promise<number | null>): Promise<void> {
    this.#mailbox = mailbox;
    this.#selected = { ...this.#selected, name: readMailboxName(Buffer.from(mailbox, 'latin1')) };
    if (this.#selected.uidValidity !== 0) this.warmUp?.entered();
    await this.#reader.enter({ ...this.#selected, uidOf });
    this.#listing = null;
  }

  /** As the client named it, decoded from quotes, latin1; empty where none is selected or its name was not read. */
  get mailbox(): string {
    return this.#mailbox;
  }

  /** As clients are told. */
  get uidValidity(): number {
    return this.#selected.uidValidity;
  }

  get mailboxId(): string | undefined {
    return this.#selected.mailboxId;
  }

  /** `uid`: null where the response has not told it yet. */
  kindOf(messageClass: MessageClass, uid: number | null): ViewKind {
    if (messageClass === 'clear-signed')
      return this.#reader.clearSignedKind(uid === null ? null : this.#stored(uid));
    return this.#reader.kindOf(messageClass, uid === null ? undefined : this.#stored(uid));
  }

  /** null: not seen yet. */
  known(uid: number): ViewKind | null {
    if (this.#overlaid.has(uid)) return 'overlay';
    return this.#kinds.get(uid) ?? this.#reader.recorded(this.#stored(uid));
  }

  /** Whether more may have been said of it than listings say, in this session or a former one. */
  isRecorded(uid: number): boolean {
    return this.#reader.recorded(this.#stored(uid)) !== null;
  }

  /** The first answer stays. */
  learn(uid: number, kind: ViewKind): void {
    if (this.#kinds.has(uid) || this.#overlaid.has(uid)) return;
    if (kind === 'overlay') {
      this.#overlaid.add(uid);
      return;
    }
    if (this.#kinds.size >= REMEMBERED) this.#kinds.clear();
    this.#kinds.set(uid, kind);
  }

  /** Messages have copies in a mailbox, named as the client has it, latin1: what was said of them is said of those. Never rejects. */
  copied({ uidValidity, from, to }: Copied, mailbox: string): Promise<void> {
    const name = readMailboxName(Buffer.from(mailbox, 'latin1'));
    return this.#reader.copied(from, { mailbox: name, uidValidity, uids: to });
  }

  /** A mailbox has another name, with everything below it; names decoded. Never rejects. */
  renamed(from: string, to: string, delimiter: string | null): Promise<void> {
    return this.#reader.renamed(from, to, delimiter);
  }

  /** A mailbox is gone. Never rejects. */
  deleted(name: string): Promise<void> {
    return this.#reader.deleted(name);
  }

  /** As the mail server has said with SELECT; null: it has not. */
  get permanentFlags(): string | null {
    return this.#selected.permanentFlags ?? null;
  }

  /** The lowest UID that a message may have that comes; 0: not told. */
  get uidNext(): number {
    return this.#selected.uidNext ?? 0;
  }

  /** From here on nobody has asked yet for whom encrypted messages are; null: nobody does in this mailbox. */
  get undecidedFrom(): number | null {
    return this.#reader.undecidedFrom;
  }

  /** Messages below `from` were asked for; `foreign`: those that are for others. false: it could not be written down. */
  async foundForeign(from: number, foreign: readonly number[]): Promise<boolean> {
    try {
      await this.#reader.foundForeign(from, foreign);
      return true;
    } catch (error) {
      if (error instanceof SealgateError) return false;
      throw error;
    }
  }

  /** UIDs of messages that were shown as such that no key opens; none where that is not known. */
  async servedWithoutKey(): Promise<readonly number[]> {
    try {
      return await this.#reader.servedWithoutKey();
    } catch (error) {
      if (error instanceof SealgateError) return [];
      throw error;
    }
  }

  /** UIDs of messages that another renderer has served, in octets that this one does not make; none where that is not known. */
  async outdated(): Promise<readonly number[]> {
    try {
      return await this.#reader.outdated();
    } catch (error) {
      if (error instanceof SealgateError) return [];
      throw error;
    }
  }

  /** What listings say of a message in the shell that was never opened. */
  get listing(): ListingKind {
    this.#listing ??= this.#reader.unopened;
    return this.#listing;
  }

  /** Whether it may be worth it: it was never opened, and does not lie encrypted at rest. */
  mayBeOpenedAhead(uid: number): boolean {
    return this.#reader.recorded(this.#stored(uid)) === null && this.atRest?.has(uid) !== true;
  }

  /** Has to be waited for before `listed` is asked of a message; null: nothing to wait for. Never rejects. */
  recall(uid: number): Promise<void> | null {
    return this.#reader.recall(this.#message(uid));
  }

  /** What a listing says of a message in the shell, otherwise than the server. */
  listed(uid: number): ListedMessage {
    const message = this.#message(uid);
    return {
      overlaid: this.#overlaid.has(uid),
      mark: this.atRest?.find(uid) ?? null,
      header: this.#reader.shownHeader(message),
      shell: this.#reader.shellOf(message),
      size: this.#overlaid.has(uid) ? 'as-announced' : this.#reader.sizeOf(message),
      preview: () => (this.#isSettled(uid, message) ? (this.#texts.find(message)?.preview ?? null) : null),
    };
  }

  /**
   * Whether another session has found it to be for somebody else since this one has taken it for mail that is opened; asked behind
   * `recall`, before anything is said of it. Then it is that, from now on.
   */
  isForOthers(uid: number): boolean {
    if (this.#reader.recorded(this.#stored(uid)) !== 'identity') return false;
    this.#kinds.delete(uid);
    return true;
  }

  /** What only a search has opened may still be shown otherwise. */
  #isSettled(uid: number, message: StoredMessage): boolean {
    return this.atRest?.has(uid) === true || this.#reader.wasServed(message);
  }

  cached(uid: number): MessageView | null {
    if (this.atRest?.has(uid) === true) return this.atRest.cached(uid);
    return this.#reader.cached(this.#message(uid));
  }

  async open(uid: number, original: OctetSource, patience: Patience): Promise<OpenedView> {
    const message = this.#message(uid);
    const overlaid = this.#overlaid.has(uid);
    const selection = this.#selection;
    const stored = overlaid ? null : ((await this.atRest?.open(uid, original, patience)) ?? null);
    const opened = stored ?? (await this.#reader.open(message, original, patience));
    if (opened.kind === 'view' && opened.found && selection === this.#selection)
      this.keywords?.add(uid, opened.found);
    if (opened.kind === 'view' && !overlaid) {
      // Of what lies encrypted at rest, the whole header is inside.
      const protectedHeader = stored !== null || this.#reader.shownHeader(message) !== null;
      const { view, keys = [] } = opened;
      const kept = await this.#texts.keep(message, view, { protectedHeader, keys });
      // Behind the back of whoever waits for the message.
      if (kept !== null) void opened.keepWords?.({ text: kept.text, protectedHeader });
    }
    return opened;
  }

  observe(octets: OctetSource): Promise<void> {
    return this.#reader.observe(octets);
  }

  /**
   * Has to be waited for before a search asks what was `opened`: messages of former sessions are among those from then on, as far as
   * their words can be looked into. A key that is open may be used for that. Never rejects.
   *
   * @param which those whose header is another one than the stored one are enough for some searches
   */
  async lookAtWords(which: 'all' | 'protected'): Promise<void> {
    const selected = this.#selected;
    const before = await this.#reader.wordedBefore(which);
    if (selected === this.#selected || this.#isSame(selected)) this.#before = before;
  }

  #isSame({ name, uidValidity }: SelectedMailbox): boolean {
    return name === this.#selected.name && uidValidity === this.#selected.uidValidity;
  }

  /** The words of those, by UID; what has gone meanwhile is left out. Never rejects. */
  wordsBefore(protectedHeader: boolean): AsyncIterable<[uid: number, text: SearchText]> {
    return this.#reader.wordsBefore(protectedHeader);
  }

  /** Messages of this mailbox that were opened and whose words are at hand, by UID. */
  opened(): Map<number, OpenedMessage> {
    const { name: mailbox, uidValidity } = this.#selected;
    const here = this.#texts.of(
      (each) => each.protocol === 'imap' && each.mailbox === mailbox && each.uidValidity === uidValidity,
    );
    const opened = new Map<number, OpenedMessage>();
    for (const { message, text, protectedHeader } of here) {
      if (message.protocol === 'imap') opened.set(message.uid, { text, protectedHeader });
    }
    for (const [uid, protectedHeader] of this.#before) {
      // Of what is shown as it is stored, the mail server knows the words.
      const isView = this.#reader.recorded(this.#stored(uid)) === 'shell' && this.atRest?.has(uid) !== true;
      if (isView && !opened.has(uid)) opened.set(uid, { text: null, protectedHeader });
    }
    return opened;
  }

  /** By the name under which what was said of it is kept. */
  #message(uid: number): StoredMessage {
    const message = this.#stored(uid);
    return message.protocol === 'imap' && this.#overlaid.has(uid) ? { ...message, overlaid: true } : message;
  }

  #stored(uid: number): StoredMessage {
    const { name: mailbox, mailboxId, uidValidity } = this.#selected;
    return {
      ...{ protocol: 'imap', mailbox, uidValidity, uid },
      ...(mailboxId === undefined ? {} : { mailboxId }),
    };
  }
}

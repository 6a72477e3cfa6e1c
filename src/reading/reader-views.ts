import { unreachable } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import type { Log } from '../log/log.ts';
import { type MessageClass, type ViewKind, viewKind } from '../mail-view/message-class.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import type { Annotation, ShownHeader, ViewForm } from '../mail-view/render.ts';
import { shellFields } from '../mail-view/shape.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import type { InboundStory, OpeningKey, Patience, Principal } from '../pipeline/ports.ts';
import type { Epochs } from './epochs/login-epochs.ts';
import { formFor, type ReadingSettings, usualReading } from './reading-settings.ts';
import { RecordSeal } from './record-seal.ts';
import type { RecordedMailboxes } from './recorded-mailbox.ts';
import { RepeatedFailures } from './repeated-failures.ts';
import { type CopiedTo, SaidBefore } from './said-before.ts';
import type { SearchText } from './search-text.ts';
import type { ReaderStore, Words } from './stored/reader-store.ts';
import type { StoredViews } from './stored/stored-views.ts';
import {
  mailboxName,
  messageKey,
  type SelectedMailbox,
  type StoredMessage,
  storedPlace,
} from './stored-message.ts';
import type { Timers } from './timers.ts';
import { ViewCache } from './view-cache.ts';
import { type Found, type KeptView, type Made, ViewMaking } from './view-making.ts';
import type { Withheld } from './withheld.ts';

export type ReaderOptions = {
  session: SessionId;
  principal: Principal;
  /** Whether the gateway has any key of the reader's that opens mail. */
  hasKeys: boolean;
  story: InboundStory;
  /** Makes boundaries that nobody can guess; 32 random octets of the installation. */
  secret: Buffer;
  names: ViewNames;
  log: Log;
  timers: Timers;
  /** Where large views wait; absent: the usual one. */
  spool?: Spool;
  /** What was said is kept there for good; absent: only in the session. */
  recorded?: RecordedMailboxes;
  /** What was opened is kept there for later sessions; absent: nowhere. Nothing comes out of it without `recorded`. */
  stored?: StoredViews;
  /** Which mail server it is: a login of the same name at another one is somebody else. */
  account?: string;
  /** How mail is shown; absent: as usual. */
  settings?: ReadingSettings;
  /** Where the client comes from. */
  remote?: string;
};

/** What all sessions of a listener have. */
export type Reading = Pick<ReaderOptions, 'recorded' | 'stored' | 'account' | 'settings'> & {
  /** What clients are told of UIDVALIDITY; absent: what the mail server says. */
  epochs?: Epochs;
};

/** It stays until `release` is called, once or more, and is there no longer than that. */
export type ViewToRead = {
  kind: 'view';
  view: MessageView;
  release: () => void;
  /** What is kept of it is kept no longer than these are at hand; absent or empty: none was needed. */
  keys?: readonly OpeningKey[];
  /** Of one that is shown for the first time; absent or null: nothing. */
  found?: Found | null;
  /** Its words, for searches in later sessions; absent: nothing of it is kept for those. Never rejects. */
  keepWords?(words: Words): Promise<void>;
};

export type OpenedView =
  | ViewToRead
  /** Nothing may be served. */
  | { kind: 'withheld'; reason: Withheld };

/**
 * What one reader is shown, by whatever protocol: opens stored messages, renders their views, and keeps to what was said once.
 *
 * Holds: a stored message keeps its view's octets, whatever the story says later: what was said is written down before the first
 * octet is served, and a view that comes out differently is not served.
 */
export class ReaderViews {
  readonly #options: ReaderOptions;
  readonly #said: SaidBefore;
  readonly #cache: ViewCache;
  readonly #making: ViewMaking;
  readonly #failures: RepeatedFailures;
  /** What is kept of it beyond the session; null: nothing. */
  readonly #store: ReaderStore | null;
  #client: string | null = null;
  #selected: SelectedMailbox | null = null;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#cache = new ViewCache(options.timers);
    const { secret, account = '', principal, hasKeys, recorded = null, settings = usualReading } = options;
    const { spool = encryptedSpool(), session, stored } = options;
    // Without what was said nobody could say what was found.
    const isKept = hasKeys && recorded !== null;
    this.#store = isKept ? (stored?.enter({ session, principal, account }) ?? null) : null;
    this.#said = new SaidBefore({
      ...{ recorded, hasKeys, backlog: settings.backlog },
      clearSigned: settings.clearSignedStatus === 'header' ? 'overlay' : 'identity',
      foreign: settings.foreign ?? 'shell-first',
      seal: new RecordSeal(secret, account, principal.login),
    });
    const parts = { ...options, spool, policy: settings.policy, store: this.#store };
    this.#making = new ViewMaking(parts, this.#said);
    this.#failures = new RepeatedFailures(options.timers);
  }

  /** Whose mailbox it is, for what is counted by login. */
  get login(): string {
    return this.#options.principal.login;
  }

  get names(): ViewNames {
    return this.#options.names;
  }

  /** Another mailbox, or none, is selected. */
  forget(): void {
    this.#selected = null;
    this.#said.forget();
    this.#cache.clear();
  }

  /** The session ends. What is opened still ends by itself, and keeps nothing. */
  end(): void {
    this.#said.end();
    this.#cache.end();
    this.#store?.end();
  }

  /**
   * A mailbox is selected: what was said of its messages in former sessions is at hand when this resolves, which has to be before
   * anything of them is said. Never rejects.
   */
  async enter(mailbox: SelectedMailbox): Promise<void> {
    this.forget();
    this.#selected = mailbox;
    await this.#orTold(this.#said.enter(mailbox));
  }

  /** What the client says it is (RFC 2971 `name`), for the profile it gets; of messages shown before nothing changes. */
  identify(client: string): void {
    this.#client = client;
  }

  /** null: it has not said. */
  get client(): string | null {
    return this.#client;
  }

  /** @param message where it is named, what it was before keys came or went is what it is */
  kindOf(messageClass: MessageClass, message?: StoredMessage): ViewKind {
    const era = message === undefined ? null : this.#said.era(message);
    return viewKind(messageClass, era === null ? this.#options.hasKeys : era === 'shell');
  }

  /** What a clear-signed message is, by IMAP: it keeps what it was when its reader could first see it. */
  clearSignedKind(message: StoredMessage | null): ViewKind {
    const era = message === null ? null : this.#said.clearSignedEra(message);
    return era ?? (this.#said.mayBeOverlaid ? 'overlay' : 'identity');
  }

  /** `shell`: it was opened, in whatever session; `identity`: it is encrypted to others; null: its class says what it is. */
  recorded(message: StoredMessage): 'shell' | 'identity' | null {
    if (this.#said.has(message)) return 'shell';
    return this.#said.isForeign(message) ? 'identity' : null;
  }

  /** From this UID on nobody has asked yet for whom encrypted messages of the mailbox are; null: nobody does. */
  get undecidedFrom(): number | null {
    const { foreign } = this.#said;
    return foreign?.asking === true ? foreign.from : null;
  }

  /** Encrypted messages below `from` were asked for; `foreign`: those that are for others. @throws SealgateError `store.unavailable` */
  foundForeign(from: number, foreign: readonly number[]): Promise<void> {
    return this.#said.found({ from, foreign });
  }

  /**
   * Has to be waited for before `shownHeader`, `shows`, `shellOf` and `sizeOf` are asked of a message; never rejects.
   * null, the usual answer: nothing to wait for.
   */
  recall(message: StoredMessage): Promise<void> | null {
    const recalling = this.#said.recall(message);
    return recalling === null ? null : this.#orTold(recalling);
  }

  /** MIME-Version and Content-* fields that a listing shows of a message in the shell; null: known only once it was opened. */
  shellOf(message: StoredMessage): readonly string[] | null {
    const said = this.#said.atHand(message);
    if (said?.annotation.transparent) return said.annotation.transparent;
    if (said === null && (this.#form().shell !== 'wrapped' || this.#said.has(message))) return null;
    const { mimeVersion, contentType } = shellFields(this.boundary(message));
    return [mimeVersion, contentType];
  }

  /** RFC822.SIZE of a message in the shell; null: known only once it was opened. */
  sizeOf(message: StoredMessage): number | 'as-announced' | null {
    const size = this.#said.size(message);
    if (size !== null) return size;
    return this.#form().padding === 'on' || this.#said.has(message) ? 'as-announced' : null;
  }

  /** What listings say of messages in the shell that were never opened: the same of all, or what only their views tell. */
  get unopened(): {
    shell: 'constant' | 'of-view';
    size: 'announced' | 'of-view';
    clearSigned: 'as-stored' | 'overlaid';
  } {
    const { shell, padding } = this.#form();
    return {
      shell: shell === 'wrapped' ? 'constant' : 'of-view',
      size: padding === 'on' ? 'announced' : 'of-view',
      clearSigned: this.#said.mayBeOverlaid ? 'overlaid' : 'as-stored',
    };
  }

  #form(): ViewForm {
    const { settings = usualReading, principal, remote = null } = this.#options;
    return formFor(settings, { login: principal.login, client: this.#client, address: remote });
  }

  /** UIDs of messages in the mailbox that were served as such that no key opens, or as they are stored for that: with a new key they need a new UID to be opened. */
  async servedWithoutKey(): Promise<readonly number[]> {
    const served = (await this.#said.servedAs('no-key')).map(Number);
    return [...served, ...(this.#said.foreign?.foreign ?? [])];
  }

  /** UIDs of messages in the mailbox that another renderer has served, in octets that this one does not make: they need new ones. */
  async outdated(): Promise<readonly number[]> {
    return this.#said.allOutdated();
  }

  /** Messages of the mailbox have copies (COPYUID, RFC 4315 §3): what was said of them is said of those. Never rejects. */
  async copied(uids: readonly number[], to: CopiedTo): Promise<void> {
    await this.#orTold(this.#said.copied(uids, to));
    if (this.#selected === null || this.#selected.uidValidity === 0 || to.uidValidity === 0) return;
    const source = mailboxName(this.#selected);
    const target = mailboxName({ name: to.mailbox, uidValidity: to.uidValidity });
    const pairs = uids.flatMap((uid, index) => {
      const copy = to.uids[index];
      return copy === undefined ? [] : [{ uid, copy }];
    });
    await this.#store?.copied(source, target, pairs);
  }

  /** A mailbox has another name, with everything below it. `delimiter`: null where there is no hierarchy. Never rejects. */
  async renamed(from: string, to: string, delimiter: string | null): Promise<void> {
    await this.#orTold(this.#said.renamed(from, to, delimiter));
  }

  /** A mailbox is gone. Never rejects. */
  async deleted(name: string): Promise<void> {
    await this.#orTold(this.#said.deleted(name));
  }

  async #orTold(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#making.tellRecordsAway(error);
    }
  }

  boundary(message: StoredMessage): string {
    return this.#making.boundary(message);
  }

  /** What listings say of a message whose protected header fields were shown; null: what is stored. */
  shownHeader(message: StoredMessage): ShownHeader | null {
    return this.#said.atHand(message)?.annotation.header ?? null;
  }

  /** Whether anything of its view was given out, so that it stays what it is. */
  wasServed(message: StoredMessage): boolean {
    return this.#said.atHand(message)?.served === true;
  }

  /** What the view of a message shows; null: it was not opened yet. */
  shows(message: StoredMessage): Annotation['kind'] | null {
    return this.#said.atHand(message)?.annotation.kind ?? null;
  }

  /**
   * A view that was opened a moment ago; the cache holds it no longer than until the next one is opened, so whoever reads it holds
   * it (`MessageView.hold`) before anything else happens.
   */
  cached(message: StoredMessage): MessageView | null {
    return this.#cache.get(messageKey(message));
  }

  /**
   * Opens and renders. Never throws. What could not be had leaves nothing behind: the next attempt starts anew.
   *
   * @param original whole; read several times, and let go when this resolves
   */
  async open(message: StoredMessage, original: OctetSource, patience: Patience): Promise<OpenedView> {
    const key = messageKey(message);
    // A search gives nothing out: what it finds may still be said otherwise.
    const use = patience.openKeysOnly === true ? 'look' : 'show';
    // It is decided for whom it is before it is opened: that may take long, and others ask meanwhile.
    await this.recall(message);
    if (this.recorded(message) === 'identity') return withheld(FOR_OTHERS);
    const ready = use === 'show' ? await this.#openedAhead(message) : null;
    if (ready !== null) return ready;
    const made = await this.#making.open(message, original, { patience, use, form: this.#form() });
    switch (made.kind) {
      case 'unavailable': {
        const { key: isKey, publicText: text } = made;
        // Who gave up himself does not ask in a loop, nor does whoever only searches ask for the message.
        const isAsked = !patience.signal.aborted && use === 'show';
        const penalty = isAsked ? { penalty: this.#failures.failed(key) } : {};
        return withheld({ code: 'UNAVAILABLE', text, ...(isKey ? { key: true as const } : {}), ...penalty });
      }
      case 'withheld':
        this.#failures.opened(key);
        return made;
      case 'view':
        this.#failures.opened(key);
        if (use === 'show') this.#cache.keep(key, made.view, made.keys);
        else if (patience.ahead === true) this.#keepAhead(message, made);
        return {
          ...{ kind: 'view', view: made.view, release: made.view.hold(), keys: made.keys },
          found: use === 'show' ? made.found : null,
          ...this.#wordsOf(message, made.kept),
        };
      default:
        return unreachable(made);
    }
  }

  #keepAhead(message: StoredMessage, { view, keys, found }: Extract<Made, { kind: 'view' }>): void {
    const sha256 = this.#said.atHand(message)?.sha256 ?? null;
    if (sha256 !== null && this.#cache.hasRoom)
      this.#cache.keep(messageKey(message), view, keys, { sha256, found });
  }

  /** The view of a message that was opened before anybody has asked for it. null: there is none, or another one counts by now. */
  async #openedAhead(message: StoredMessage): Promise<ViewToRead | null> {
    const key = messageKey(message);
    const ahead = this.#cache.ahead(key);
    if (ahead === null) return null;
    const { view, keys, made } = ahead;
    const release = view.hold();
    if (!(await this.#making.give(message, made.sha256))) {
      release();
      return null;
    }
    this.#cache.given(key);
    this.#failures.opened(key);
    return { kind: 'view', view, release, keys, found: made.found };
  }

  #wordsOf(message: StoredMessage, kept: KeptView | null): Pick<ViewToRead, 'keepWords'> {
    const store = this.#store;
    const place = storedPlace(message);
    if (store === null || kept === null || place === null) return {};
    return { keepWords: (words) => store.keepWords(kept.name, place, words, kept.whole) };
  }

  /**
   * Messages of the mailbox that were opened in former sessions and whose words can be looked into now, by UID, and whether header fields
   * are shown of them that are not those stored. A key that is open may be used once for that. Never rejects.
   */
  async wordedBefore(which: 'all' | 'protected'): Promise<ReadonlyMap<number, boolean>> {
    if (this.#store === null || this.#selected === null) return new Map();
    return this.#store.worded(mailboxName(this.#selected), which);
  }

  /** The words of those, by UID; what has gone meanwhile is left out. Never rejects. */
  async *wordsBefore(protectedHeader: boolean): AsyncGenerator<[uid: number, text: SearchText]> {
    if (this.#store === null || this.#selected === null) return;
    yield* this.#store.words(mailboxName(this.#selected), protectedHeader);
  }

  /** Lets the story see a message that is shown as it is stored, so that its signer's certificate can be learnt. */
  async observe(octets: OctetSource): Promise<void> {
    // Nobody waits for it, so nobody is asked for a PIN.
    await this.#making.ask(octets, { signal: AbortSignal.abort(), exhausted: new Map() });
  }
}

/** Found in another session, when it was to be opened in this one. Asked for again, it is what is stored. */
export const FOR_OTHERS: Withheld = {
  code: 'UNAVAILABLE',
  text: 'A message was found to be for others. Ask for it again.',
};

function withheld(reason: Withheld): OpenedView {
  return { kind: 'withheld', reason };
}

import { SealgateError } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import type { Log } from '../log/log.ts';
import { type MessageClass, type ViewKind, viewKind } from '../mail-view/message-class.ts';
import { MessageView } from '../mail-view/message-view.ts';
import { type Annotation, type RenderedView, renderView, type ShownHeader } from '../mail-view/render.ts';
import { shellFields } from '../mail-view/shape.ts';
import { type ViewNames, viewBoundary } from '../mail-view/view-names.ts';
import { octetsInMemory } from '../octets/buffer-source.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import type { InboundStory, OpenOutcome, Patience, Principal } from '../pipeline/ports.ts';
import { RepeatedFailures } from './repeated-failures.ts';
import { messageKey, type SelectedMailbox, type StoredMessage } from './stored-message.ts';
import type { Timers } from './timers.ts';
import { ViewCache } from './view-cache.ts';
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
};

export type OpenedView =
  /** It stays until `release` is called, once or more, and is there no longer than that. */
  | { kind: 'view'; view: MessageView; release: () => void }
  /** Nothing may be served. */
  | { kind: 'withheld'; reason: Withheld };

/**
 * What one reader is shown, by whatever protocol: opens stored messages, renders their views, and keeps to what was said once.
 *
 * Holds: within a session a stored message keeps its view's octets, whatever the story says later; what an earlier rendering
 * said is kept as an annotation of some hundred octets, the views themselves only as a small cache.
 */
export class ReaderViews {
  readonly #options: ReaderOptions;
  readonly #annotations = new Map<string, Annotation>();
  readonly #cache: ViewCache;
  readonly #spool: Spool;
  readonly #failures: RepeatedFailures;
  #client: string | null = null;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#cache = new ViewCache(options.timers);
    this.#spool = options.spool ?? encryptedSpool();
    this.#failures = new RepeatedFailures(options.timers);
  }

  /** Whose mailbox it is, for what is counted by login. */
  get login(): string {
    return this.#options.principal.login;
  }

  get names(): ViewNames {
    return this.#options.names;
  }

  /** Another mailbox, or none, is selected, or the session ends. */
  forget(): void {
    this.#annotations.clear();
    this.#cache.clear();
  }

  /**
   * A mailbox is selected: what was said of its messages in former sessions is at hand when this resolves, which has to be before
   * anything of them is said.
   */
  async enter(_mailbox: SelectedMailbox): Promise<void> {
    this.forget();
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
  kindOf(messageClass: MessageClass, _message?: StoredMessage): ViewKind {
    return viewKind(messageClass, this.#options.hasKeys);
  }

  /** `shell`: it was opened, in whatever session; null: its class says what it is. */
  recorded(message: StoredMessage): 'shell' | null {
    return this.#annotations.has(messageKey(message)) ? 'shell' : null;
  }

  /**
   * Has to be waited for before `shownHeader`, `shows`, `shellOf` and `sizeOf` are asked of a message; never rejects.
   * null, the usual answer: nothing to wait for.
   */
  recall(_message: StoredMessage): Promise<void> | null {
    return null;
  }

  /** MIME-Version and Content-* fields that a listing shows of a message in the shell; null: known only once it was opened. */
  shellOf(message: StoredMessage): readonly string[] | null {
    const { mimeVersion, contentType } = shellFields(this.boundary(message));
    return [mimeVersion, contentType];
  }

  /** RFC822.SIZE of a message in the shell; null: known only once it was opened. */
  sizeOf(_message: StoredMessage): number | 'as-announced' | null {
    return 'as-announced';
  }

  boundary(message: StoredMessage): string {
    const { secret, principal } = this.#options;
    return viewBoundary(secret, principal.login, messageKey(message));
  }

  /** What listings say of a message whose protected header fields were shown; null: what is stored. */
  shownHeader(message: StoredMessage): ShownHeader | null {
    return this.#annotations.get(messageKey(message))?.header ?? null;
  }

  /** What the view of a message shows; null: it was not opened yet. */
  shows(message: StoredMessage): Annotation['kind'] | null {
    return this.#annotations.get(messageKey(message))?.kind ?? null;
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
   * @param _use `list`: for what a listing says of it, and no octet of its body
   */
  async open(
    message: StoredMessage,
    original: OctetSource,
    patience: Patience,
    _use: 'show' | 'list' = 'show',
  ): Promise<OpenedView> {
    const key = messageKey(message);
    const outcome = await this.#ask(original, patience);
    if (outcome.kind === 'unavailable') {
      const { key: isKey, publicText: text } = outcome;
      // Who gave up himself does not ask in a loop.
      const isAskedFor = !patience.signal.aborted && patience.openKeysOnly !== true;
      const penalty = isAskedFor ? { penalty: this.#failures.failed(key) } : {};
      return withheld({ code: 'UNAVAILABLE', text, ...(isKey ? { key: true as const } : {}), ...penalty });
    }
    this.#failures.opened(key);
    try {
      const view = await this.#render(message, original, outcome);
      return { kind: 'view', view, release: view.hold() };
    } catch (error) {
      return withheld(this.#whyNot(error));
    }
  }

  #whyNot(error: unknown): Withheld {
    if (!(error instanceof SealgateError)) {
      this.#defect('reading.render', error);
      return { code: 'SERVERBUG', text: 'This message could not be shown.' };
    }
    const { code, duration, publicText: text } = error;
    const passes = code === 'view.changed' || duration === 'temporary';
    // RFC 5530 has LIMIT for what is too large, for now as well.
    return { code: passes && code !== 'spool.unavailable' ? 'UNAVAILABLE' : 'LIMIT', text };
  }

  /** Lets the story see a message that is shown as it is stored, so that its signer's certificate can be learnt. */
  async observe(octets: OctetSource): Promise<void> {
    // Nobody waits for it, so nobody is asked for a PIN.
    await this.#ask(octets, { signal: AbortSignal.abort(), exhausted: new Map() });
  }

  async #ask(octets: OctetSource, patience: Patience): Promise<OpenOutcome> {
    const { story, session, principal } = this.#options;
    try {
      return await story.open({ session, principal, octets, patience });
    } catch (error) {
      if (error instanceof SealgateError && error.duration === 'permanent') {
        return { kind: 'failed', report: { layers: [] } };
      }
      this.#defect('reading.open', error);
      const publicText = 'This message cannot be opened now. Try again later.';
      return { kind: 'unavailable', key: false, publicText };
    }
  }

  async #render(
    message: StoredMessage,
    original: OctetSource,
    outcome: Exclude<OpenOutcome, { kind: 'unavailable' }>,
  ): Promise<MessageView> {
    const { names, log, session } = this.#options;
    const key = messageKey(message);
    const frozen = this.#annotations.get(key);
    const discardEntity = 'discard' in outcome ? outcome.discard : undefined;
    let rendered: RenderedView;
    try {
      rendered = await renderView({
        ...{ original, outcome, boundary: this.boundary(message), names, spool: this.#spool },
        ...(frozen === undefined ? {} : { frozen }),
      });
    } catch (error) {
      await discardEntity?.();
      throw error;
    }
    const discard = async (): Promise<void> => {
      await rendered.discard();
      await discardEntity?.();
    };
    if (!rendered.overflow && rendered.octets.length !== original.length) {
      await discard();
      throw new Error('a view has another size than its original');
    }
    // What is in memory needs nothing else any more.
    if (octetsInMemory(rendered.octets) !== null) await discard();
    const view = new MessageView(rendered.octets, discard);
    this.#annotations.set(key, rendered.annotation);
    this.#cache.keep(key, view);
    if (frozen === undefined) {
      log.write({
        event: 'mail.opened',
        level: 'info',
        session,
        outcome: rendered.annotation.kind,
        verdict: outcome.kind === 'opened' ? outcome.verdict.kind : 'none',
        octets: original.length,
        overflow: rendered.overflow,
      });
    }
    return view;
  }

  #defect(where: string, error: unknown): void {
    this.#options.log.write({ event: 'gateway.defect', level: 'error', where, error: String(error) });
  }
}

function withheld(reason: Withheld): OpenedView {
  return { kind: 'withheld', reason };
}

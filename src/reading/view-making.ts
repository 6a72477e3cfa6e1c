import { createHash } from 'node:crypto';
import { SealgateError } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import type { Log } from '../log/log.ts';
import { renderOverlay } from '../mail-view/clear-signed-overlay.ts';
import { MessageView } from '../mail-view/message-view.ts';
import {
  type Annotation,
  RENDERER_VERSION,
  type RenderedView,
  type RenderPolicy,
  renderView,
  type ViewForm,
} from '../mail-view/render.ts';
import { type BoundarySecret, boundaryOf, boundarySecret, type ViewNames } from '../mail-view/view-names.ts';
import type { ViewOutcome } from '../mail-view/view-outcome.ts';
import { octetsInMemory } from '../octets/buffer-source.ts';
import { scan } from '../octets/scan.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import type { InboundStory, OpeningKey, OpenOutcome, Patience, Principal } from '../pipeline/ports.ts';
import type { Said, SaidBefore } from './said-before.ts';
import { contentForTwo } from './stored/content-for-two.ts';
import type { ReaderStore } from './stored/reader-store.ts';
import { boundaryName, type StoredMessage } from './stored-message.ts';
import type { Withheld } from './withheld.ts';

export type ViewMakingParts = {
  session: SessionId;
  principal: Principal;
  story: InboundStory;
  secret: Buffer;
  names: ViewNames;
  log: Log;
  spool: Spool;
  policy: RenderPolicy;
  /** What was opened in former sessions; null: nothing is kept beyond the session. */
  store: ReaderStore | null;
};

/** `look`: nothing of the view is given out. */
export type Making = { patience: Patience; form: ViewForm; use: 'show' | 'look' };

export type Made =
  | {
      kind: 'view';
      view: MessageView;
      keys: readonly OpeningKey[];
      kept: KeptView | null;
      found: Found | null;
    }
  | { kind: 'withheld'; reason: Withheld }
  | Extract<OpenOutcome, { kind: 'unavailable' }>;

/** What there is to tell of a message that is shown for the first time. */
export type Found = 'valid' | 'warning';

/** A message whose content is kept beyond the session, by its name there; `whole`: once it is, or is not. */
export type KeptView = { name: string; whole: Promise<boolean> };

/** What the story led to, apart from nothing. `isStored`: it did so in a former session, and only what was shown then may be shown of it. */
type Outcome = ViewOutcome & {
  discard?(): Promise<void>;
  keys?: readonly OpeningKey[];
  isStored?: true;
};

/** Nothing was found, or nothing of it is asked for. */
const AS_STORED: Outcome = { kind: 'as-is', report: null };

/** Another session may say something of the message meanwhile, and then that counts. */
const ROUNDS = 4;

/**
 * Opens one message, renders its view, and freezes what was said.
 *
 * Holds: nothing is given out before what was said is written down; a view that was served is made again octet for octet, or not at
 * all. What could not be opened when it was served stays so under its UID.
 */
export class ViewMaking {
  readonly #parts: ViewMakingParts;
  readonly #said: SaidBefore;
  readonly #boundarySecret: BoundarySecret;

  constructor(parts: ViewMakingParts, said: SaidBefore) {
    this.#parts = parts;
    this.#boundarySecret = boundarySecret(parts.secret, parts.principal.login);
    this.#said = said;
  }

  boundary(message: StoredMessage): string {
    return boundaryOf(this.#boundarySecret, boundaryName(message));
  }

  /** Never throws. */
  async open(message: StoredMessage, original: OctetSource, making: Making): Promise<Made> {
    let outcome: Outcome | null = null;
    let release: (() => Promise<void>) | null = null;
    try {
      const said = await this.#said.find(message);
      const before = await this.#openedBefore(message, original, said, making);
      if (before !== null) return before;
      const asStored = isOverlaid(message) && this.#said.clearSignedEra(message) === 'identity';
      const opened =
        (asStored && said === null ? AS_STORED : withoutOpening(message, said)) ??
        (await this.ask(original, making.patience, isOverlaid(message)));
      if (opened.kind === 'unavailable') return opened;
      const keys = opened.kind === 'opened' ? (opened.keys ?? []) : [];
      const shared = opened.kind === 'opened' && this.#isKept(keys) ? contentForTwo(opened) : null;
      outcome = shared?.opened ?? opened;
      release = shared?.release ?? null;
      const view = await this.#frozen(message, original, outcome, said, making);
      const isFirst = said?.served !== true && (making.use === 'show' || making.patience.ahead === true);
      const found = isFirst ? this.#found(message, opened) : null;
      const kept = shared === null ? null : await this.#keep(message, original, shared, keys);
      return { kind: 'view', view, keys, kept, found };
    } catch (error) {
      if (outcome !== null) await discard(outcome);
      await release?.();
      return { kind: 'withheld', reason: this.#whyNot(message, error) };
    }
  }

  /** What was made ahead is to be given out, and that is written down. false: it is not what counts. Never throws. */
  async give(message: StoredMessage, sha256: Buffer): Promise<boolean> {
    try {
      const said = await this.#said.find(message);
      if (said?.sha256?.equals(sha256) !== true) return false;
      const now = said.served ? said : await this.#said.say(message, { ...said, served: true }, true);
      return now.served && now.sha256?.equals(sha256) === true;
    } catch {
      // It is told of when the message is opened.
      return false;
    }
  }

  /** null: nothing. What its view says counts as well. */
  #found(message: StoredMessage, outcome: Outcome): Found | null {
    const said = this.#said.atHand(message);
    if (said === null || said.annotation.warning !== null) return said === null ? null : 'warning';
    const verdict = outcome.kind === 'opened' || outcome.kind === 'as-is' ? outcome.verdict : undefined;
    return verdict?.kind === 'trusted' ? 'valid' : null;
  }

  /** What one key has opened is kept under that key; nothing else is. */
  #isKept(keys: readonly OpeningKey[]): boolean {
    return this.#parts.store !== null && keys.length === 1;
  }

  /** Goes on behind whoever waits for the view. */
  async #keep(
    message: StoredMessage,
    original: OctetSource,
    { opened, release }: ReturnType<typeof contentForTwo>,
    [key]: readonly OpeningKey[],
  ): Promise<KeptView | null> {
    const { store } = this.#parts;
    if (store === null || key === undefined || this.#said.atHand(message)?.annotation.kind !== 'opened') {
      await release();
      return null;
    }
    try {
      const name = await store.nameOf(original);
      return { name, whole: store.keep(name, opened.entity, key).finally(release) };
    } catch {
      // It cannot be read again; its view is there.
      await release();
      return null;
    }
  }

  /**
   * Of what was said of before, and opened by a key in a former session: its view, without opening it. null: it has to be opened.
   * Never throws.
   */
  async #openedBefore(
    message: StoredMessage,
    original: OctetSource,
    said: Said | null,
    making: Making,
  ): Promise<Made | null> {
    const { store, spool, log, session } = this.#parts;
    if (store === null || said?.annotation.kind !== 'opened' || isOverlaid(message)) return null;
    let name: string;
    try {
      name = await store.nameOf(original);
    } catch {
      return null;
    }
    const found = await store.find(name, spool, making.patience.signal);
    if (found === null) return null;
    const { entity, discard: free, key } = found;
    // What was found is in the record; nobody judges it again.
    const outcome: Outcome = {
      ...{ kind: 'opened', entity, discard: free, report: { layers: [] }, verdict: { kind: 'unsigned' } },
      isStored: true,
    };
    try {
      const view = await this.#frozen(message, original, outcome, said, making);
      const { fingerprint } = key.certificate;
      const octets = original.length;
      log.write({ event: 'mail.reopened', level: 'info', session, key: fingerprint, octets });
      const kept = { name, whole: Promise.resolve(true) };
      return { kind: 'view', view, keys: [key], kept, found: null };
    } catch (error) {
      await free();
      // Not what was shown, or not by this gateway's version: the key says what is true.
      if (error instanceof SealgateError && error.code.startsWith('view.')) await found.refuse();
      return null;
    }
  }

  /** Never throws. */
  async ask(original: OctetSource, patience: Patience, withoutKeys = false): Promise<OpenOutcome> {
    const { story, session, principal } = this.#parts;
    try {
      const request = { session, principal, octets: original, patience };
      return await story.open(withoutKeys ? { ...request, withoutKeys } : request);
    } catch (error) {
      if (error instanceof SealgateError && error.duration === 'permanent') {
        return { kind: 'failed', report: { layers: [] } };
      }
      this.#defect('reading.open', error);
      const publicText = 'This message cannot be opened now. Try again later.';
      return { kind: 'unavailable', key: false, publicText };
    }
  }

  tellRecordsAway(error: unknown): void {
    const { log, session } = this.#parts;
    const reason = error instanceof SealgateError ? (error.reason ?? error.code) : String(error);
    log.write({ event: 'view.records-unavailable', level: 'error', session, reason });
  }

  /** The view, once it is certain that it is the one that counts under this name. */
  async #frozen(
    message: StoredMessage,
    original: OctetSource,
    outcome: Outcome,
    before: Said | null,
    making: Making,
  ): Promise<MessageView> {
    let said = before;
    for (let round = 0; round < ROUNDS; round++) {
      const rendered = await this.#rendered(message, original, outcome, said, making.form);
      try {
        const sha256 = await digestOf(rendered.octets);
        if (said?.served === true) {
          if (said.sha256?.equals(sha256) !== true) {
            throw outcome.isStored ? viewDiffers() : await this.#differs(message, said);
          }
          return await this.#finished(original, outcome, rendered, false);
        }
        const { annotation, octets } = rendered;
        const size = annotation.padding === 'off' ? octets.length : null;
        const served = making.use === 'show';
        const saying = { annotation, sha256, size, served, version: RENDERER_VERSION };
        said = await this.#said.say(message, saying, said !== null);
        if (said.sha256?.equals(sha256) === true) {
          return await this.#finished(original, outcome, rendered, before === null);
        }
      } catch (error) {
        await rendered.discard();
        throw error;
      }
      await rendered.discard();
    }
    throw viewDiffers();
  }

  /** Keeps to what was said; where nothing of it was served, it is only kept to where that is possible. */
  async #rendered(
    message: StoredMessage,
    original: OctetSource,
    outcome: Outcome,
    said: Said | null,
    form: ViewForm,
  ): Promise<RenderedView> {
    const { names, spool, policy } = this.#parts;
    const request = { original, outcome, boundary: this.boundary(message), names, spool, form, policy };
    if (isOverlaid(message))
      return renderOverlay({ original, outcome, names, spool, frozen: said?.annotation ?? null });
    if (said === null) return renderView(request);
    try {
      return await renderView({ ...request, frozen: said.annotation });
    } catch (error) {
      const changed = error instanceof SealgateError && error.code === 'view.changed';
      if (!changed || outcome.isStored) throw error;
      if (!said.served && (outcome.kind === 'opened' || !isListed(said))) return renderView(request);
      // What was found is as before: it is the renderer that is another one.
      const isOutdated = outcome.kind === said.annotation.kind && said.version !== RENDERER_VERSION;
      throw isOutdated ? await this.#differs(message, said) : error;
    }
  }

  /** What another renderer has made needs a new UID; what this one has made, and makes otherwise now, an explanation. */
  async #differs(message: StoredMessage, { version }: Said): Promise<SealgateError> {
    if (version === RENDERER_VERSION) return viewDiffers();
    await this.#said.outdated(message);
    return viewOutdated();
  }

  async #finished(
    original: OctetSource,
    outcome: Outcome,
    rendered: RenderedView,
    isNew: boolean,
  ): Promise<MessageView> {
    const { octets, overflow, annotation } = rendered;
    if (annotation.padding === 'on' && !overflow && octets.length !== original.length) {
      throw new Error('a view has another size than its original');
    }
    const free = async (): Promise<void> => {
      await rendered.discard();
      await discard(outcome);
    };
    // What is in memory needs nothing else any more.
    if (octetsInMemory(octets) !== null) await free();
    if (isNew) this.#tellOpened(original.length, outcome, rendered);
    return new MessageView(octets, free);
  }

  #tellOpened(octets: number, outcome: Outcome, { overflow, annotation }: RenderedView): void {
    const { log, session } = this.#parts;
    log.write({
      event: 'mail.opened',
      level: 'info',
      session,
      outcome: annotation.kind,
      verdict: outcome.kind === 'opened' ? outcome.verdict.kind : 'none',
      octets,
      overflow,
    });
  }

  #whyNot(message: StoredMessage, error: unknown): Withheld {
    if (!(error instanceof SealgateError)) {
      this.#defect('reading.render', error);
      return { code: 'SERVERBUG', text: 'This message could not be shown.' };
    }
    const { code, duration, publicText: text } = error;
    switch (code) {
      case 'view.differs':
      case 'view.outdated':
      case 'view.record-damaged':
      case 'view.changed': {
        const { log, session } = this.#parts;
        const name = message.protocol === 'imap' ? `${message.uidValidity} ${message.uid}` : message.uidl;
        log.write({ event: 'view.differs', level: 'error', session, message: name, reason: code });
        const isForNow = code === 'view.changed' || code === 'view.outdated';
        return { code: isForNow ? 'UNAVAILABLE' : 'SERVERBUG', text };
      }
      case 'store.unavailable':
        // Nobody could promise that it will be the same the next time.
        this.tellRecordsAway(error);
        return { code: 'UNAVAILABLE', text: `${text} Try again later.` };
      default:
        // RFC 5530 has LIMIT for what is too large, for now as well.
        return {
          code: duration === 'temporary' && code !== 'spool.unavailable' ? 'UNAVAILABLE' : 'LIMIT',
          text,
        };
    }
  }

  #defect(where: string, error: unknown): void {
    this.#parts.log.write({ event: 'gateway.defect', level: 'error', where, error: String(error) });
  }
}

/** What was served without content is made again without opening anything; null: it has to be opened. */
function withoutOpening(message: StoredMessage, said: Said | null): Outcome | null {
  if (said === null || !said.served) return null;
  // Of such a message nothing is in the view but what was said.
  if (isOverlaid(message)) return AS_STORED;
  const kind: Annotation['kind'] = said.annotation.kind;
  return kind === 'opened' ? null : { kind, report: { layers: [] } };
}

/** Whether listings say something else of it than of all others: that may have been given out, though nothing of its view was. */
function isListed({ annotation, size }: Said): boolean {
  return annotation.header !== null || annotation.transparent !== null || size !== null;
}

async function discard(outcome: Outcome): Promise<void> {
  await outcome.discard?.();
}

async function digestOf(octets: OctetSource): Promise<Buffer> {
  const hash = createHash('sha256');
  await scan(octets, (chunk) => {
    hash.update(chunk);
    return undefined;
  });
  return hash.digest();
}

function viewDiffers(): SealgateError {
  return new SealgateError({
    code: 'view.differs',
    publicText:
      'This message cannot be shown as it was shown before. Copy it into another folder and open it there to see it as it is now.',
    duration: 'permanent',
  });
}

function viewOutdated(): SealgateError {
  return new SealgateError({
    code: 'view.outdated',
    publicText:
      'This message was shown by another version of the gateway, and this one would show it otherwise. Look whether it has come again as a new message, or copy it into another folder and open it there.',
    duration: 'temporary',
  });
}

function isOverlaid(message: StoredMessage): boolean {
  return message.protocol === 'imap' && message.overlaid === true;
}

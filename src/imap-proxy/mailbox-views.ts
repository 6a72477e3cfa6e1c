import { SealgateError } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import type { Log } from '../log/log.ts';
import { type MessageClass, type ViewKind, viewKind } from '../mail-view/message-class.ts';
import { MessageView } from '../mail-view/message-view.ts';
import { type Annotation, renderView, type ShownHeader } from '../mail-view/render.ts';
import { type ViewNames, viewBoundary } from '../mail-view/view-names.ts';
import type { ViewOutcome } from '../mail-view/view-outcome.ts';
import type { InboundStory, OpenOutcome, Patience, Principal } from '../pipeline/ports.ts';
import type { Withheld } from './pending.ts';
import { RepeatedFailures } from './repeated-failures.ts';
import type { Timers } from './timers.ts';
import { UnfinishedHeaders } from './unfinished-headers.ts';

/** Views kept for clients that fetch a message in pieces. */
const CACHED_VIEWS = 4;
const CACHED_OCTETS = 32 * 1024 * 1024;
/** Messages of one mailbox whose class is remembered. */
const REMEMBERED = 200_000;

export type ViewsOptions = {
  session: SessionId;
  principal: Principal;
  hasKeys: boolean;
  story: InboundStory;
  secret: Buffer;
  names: ViewNames;
  log: Log;
  timers: Timers;
};

export type OpenedView =
  | { kind: 'view'; view: MessageView }
  /** Nothing may be served. */
  | { kind: 'withheld'; reason: Withheld };

/**
 * What one session knows of the selected mailbox: which messages are S/MIME, and their views.
 *
 * Holds: within the session a (UIDVALIDITY, UID) keeps its class and its octets, whatever the story says later; what
 * an earlier rendering said is kept as an annotation of some hundred octets, the views themselves only as a small cache.
 */
export class MailboxViews {
  readonly #options: ViewsOptions;
  #uidValidity = 0;
  readonly #kinds = new Map<number, ViewKind>();
  readonly #annotations = new Map<number, Annotation>();
  readonly #cache = new Map<number, MessageView>();
  /** Of messages shown as stored. */
  readonly headers = new UnfinishedHeaders();
  readonly #failures: RepeatedFailures;

  constructor(options: ViewsOptions) {
    this.#options = options;
    this.#failures = new RepeatedFailures(options.timers);
  }

  /** Whose mailbox it is, for what is counted by login. */
  get login(): string {
    return this.#options.principal.login;
  }

  get names(): ViewNames {
    return this.#options.names;
  }

  /** Another mailbox, or none, is selected. 0: the server told no UIDVALIDITY. */
  select(uidValidity: number): void {
    this.#uidValidity = uidValidity;
    this.#kinds.clear();
    this.#annotations.clear();
    this.#cache.clear();
    this.headers.clear();
  }

  kindOf(messageClass: MessageClass): ViewKind {
    return viewKind(messageClass, this.#options.hasKeys);
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
    const { secret, principal } = this.#options;
    return viewBoundary(secret, principal.login, { uidValidity: this.#uidValidity, uid });
  }

  /** What listings say of a message whose protected header fields were shown; null: what is stored. */
  shownHeader(uid: number): ShownHeader | null {
    return this.#annotations.get(uid)?.header ?? null;
  }

  cached(uid: number): MessageView | null {
    const view = this.#cache.get(uid);
    if (view === undefined) return null;
    this.#cache.delete(uid);
    this.#cache.set(uid, view);
    return view;
  }

  /** Opens and renders. Never throws. What could not be had leaves nothing behind: the next attempt starts anew. */
  async open(uid: number, original: Buffer, patience: Patience): Promise<OpenedView> {
    const uidValidity = this.#uidValidity;
    const message = `${uidValidity} ${uid}`;
    const outcome = await this.#ask(original, patience);
    if (outcome.kind === 'unavailable') {
      const { key, publicText: text } = outcome;
      // Who gave up himself does not ask in a loop.
      const penalty = patience.signal.aborted ? {} : { penalty: this.#failures.failed(message) };
      return withheld({ code: 'UNAVAILABLE', text, ...(key ? { key } : {}), ...penalty });
    }
    this.#failures.opened(message);
    try {
      return { kind: 'view', view: this.#render(uid, uidValidity, original, outcome) };
    } catch (error) {
      if (error instanceof SealgateError) {
        const code = error.code === 'view.changed' ? 'UNAVAILABLE' : 'LIMIT';
        return withheld({ code, text: error.publicText });
      }
      this.#defect('imap-proxy.render', error);
      return withheld({ code: 'SERVERBUG', text: 'This message could not be shown.' });
    }
  }

  /** Lets the story see a message that is shown as it is stored, so that its signer's certificate can be learnt. */
  async observe(octets: Buffer): Promise<void> {
    // Nobody waits for it, so nobody is asked for a PIN.
    await this.#ask(octets, { signal: AbortSignal.abort(), exhausted: new Map() });
  }

  async #ask(octets: Buffer, patience: Patience): Promise<OpenOutcome> {
    const { story, session, principal } = this.#options;
    try {
      return await story.open({ session, principal, octets, patience });
    } catch (error) {
      if (error instanceof SealgateError && error.duration === 'permanent') {
        return { kind: 'failed', report: { layers: [] } };
      }
      this.#defect('imap-proxy.open', error);
      const publicText = 'This message cannot be opened now. Try again later.';
      return { kind: 'unavailable', key: false, publicText };
    }
  }

  #render(uid: number, uidValidity: number, original: Buffer, outcome: ViewOutcome): MessageView {
    const { names, log, session } = this.#options;
    const frozen = this.#annotations.get(uid);
    const rendered = renderView({
      original,
      outcome,
      boundary: this.boundary(uid),
      names,
      ...(frozen === undefined ? {} : { frozen }),
    });
    if (!rendered.overflow && rendered.octets.length !== original.length) {
      throw new Error('a view has another size than its original');
    }
    const view = new MessageView(rendered.octets);
    if (uidValidity === this.#uidValidity) {
      this.#annotations.set(uid, rendered.annotation);
      this.#keep(uid, view);
    }
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

  #keep(uid: number, view: MessageView): void {
    if (view.octets.length > CACHED_OCTETS) return;
    this.#cache.delete(uid);
    this.#cache.set(uid, view);
    let total = 0;
    for (const each of this.#cache.values()) total += each.octets.length;
    for (const [oldest, each] of this.#cache) {
      if (this.#cache.size <= CACHED_VIEWS && total <= CACHED_OCTETS) break;
      this.#cache.delete(oldest);
      total -= each.octets.length;
    }
  }

  #defect(where: string, error: unknown): void {
    this.#options.log.write({ event: 'gateway.defect', level: 'error', where, error: String(error) });
  }
}

function withheld(reason: Withheld): OpenedView {
  return { kind: 'withheld', reason };
}

import type { SessionId } from '../ids.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { AtRestMark, AtRestMarks } from '../mail-view/at-rest-marker.ts';
import { MessageView } from '../mail-view/message-view.ts';
import type { OctetSource } from '../octets/source.ts';
import type { AtRestStory, Patience, Principal, UnsealOutcome } from '../pipeline/ports.ts';
import type { OpenedView } from './reader-views.ts';
import { RepeatedFailures } from './repeated-failures.ts';
import type { Timers } from './timers.ts';

/** Opened messages that are kept for clients that fetch in pieces; they lie in spools. */
const CACHED_VIEWS = 2;

export type AtRestOptions = {
  session: SessionId;
  principal: Principal;
  marks: AtRestMarks;
  story: AtRestStory;
  log: Log;
  timers: Timers;
};

/**
 * Messages of the selected mailbox that a client has stored and the gateway has encrypted: shown octet by octet as they were stored.
 * What a listing says of them, size and header, is in their markers.
 */
export class AtRestMessages {
  readonly #options: AtRestOptions;
  /** Marker fields by UID: small, and read again when they are needed. */
  readonly #fields = new Map<number, Buffer>();
  readonly #cache = new Map<number, { view: MessageView; release: () => void }>();
  readonly #failures: RepeatedFailures;
  #mustLook = true;
  #from = 1;

  constructor(options: AtRestOptions) {
    this.#options = options;
    this.#failures = new RepeatedFailures(options.timers);
  }

  get marks(): AtRestMarks {
    return this.#options.marks;
  }

  get story(): AtRestStory {
    return this.#options.story;
  }

  get principal(): Principal {
    return this.#options.principal;
  }

  /** The lowest UID of those that were not looked at. */
  get from(): number {
    return this.#from;
  }

  /** Whether there may be messages whose markers were not looked for. */
  get mustLook(): boolean {
    return this.#mustLook;
  }

  /** More messages are in the mailbox than before. */
  grew(): void {
    this.#mustLook = true;
  }

  /**
   * Markers were looked for in all messages that are there now.
   *
   * @param uidNext the lowest UID that others may have; 0: nobody knows
   */
  looked(uidNext: number): void {
    this.#mustLook = false;
    this.lookedUpTo(uidNext - 1);
  }

  /** Of all that were there so far, this was the last one with a marker. */
  lookedUpTo(uid: number): void {
    this.#from = Math.max(this.#from, uid + 1);
  }

  /** Another mailbox, or none, is selected. */
  forget(): void {
    this.#mustLook = true;
    this.#from = 1;
    this.#fields.clear();
    for (const { release } of this.#cache.values()) release();
    this.#cache.clear();
  }

  /** @param header a header, or a part of one, that holds the field. false: no marker, or none that is ours for this login */
  learn(uid: number, header: Buffer): boolean {
    if (this.#fields.size >= limits.atRest.messages && !this.#fields.has(uid)) return false;
    if (this.#options.marks.read(header) === null) return false;
    // A copy: what was given may be a part of something far larger.
    this.#fields.set(uid, Buffer.from(header));
    return true;
  }

  get isEmpty(): boolean {
    return this.#fields.size === 0;
  }

  has(uid: number): boolean {
    return this.#fields.has(uid);
  }

  /** What its client has stored under this UID; null: nothing that was encrypted here. */
  find(uid: number): AtRestMark | null {
    const field = this.#fields.get(uid);
    return field === undefined ? null : this.#options.marks.read(field);
  }

  /** A view that was opened a moment ago; whoever reads it holds it before anything else happens. */
  cached(uid: number): MessageView | null {
    return this.#cache.get(uid)?.view ?? null;
  }

  /**
   * The octets as they were stored. Never throws. null: its content is not what the marker is about, or no key of the reader's opens
   * it: from now on it is a message like any other.
   *
   * @param original whole, and let go when this resolves
   */
  async open(uid: number, original: OctetSource, patience: Patience): Promise<OpenedView | null> {
    const mark = this.find(uid);
    if (mark === null) return null;
    const outcome = await this.#unseal(original, patience);
    if (outcome.kind === 'unavailable') {
      const { key, publicText: text } = outcome;
      const penalty = patience.signal.aborted ? {} : { penalty: this.#failures.failed(String(uid)) };
      const isKey = key ? { key: true as const } : {};
      return { kind: 'withheld', reason: { code: 'UNAVAILABLE', text, ...isKey, ...penalty } };
    }
    this.#failures.opened(String(uid));
    const opened = outcome.kind === 'opened' ? await this.#checked(mark, outcome) : null;
    if (opened === null) {
      this.#fields.delete(uid);
      return null;
    }
    this.#keep(uid, opened.view);
    this.#tell(original.length);
    return opened;
  }

  async #unseal(octets: OctetSource, patience: Patience): Promise<UnsealOutcome> {
    const { story, session, principal, log } = this.#options;
    try {
      return await story.unseal({ session, principal, octets, patience });
    } catch (error) {
      log.write({ event: 'gateway.defect', level: 'error', where: 'reading.unseal', error: String(error) });
      const publicText = 'This message cannot be opened now. Try again later.';
      return { kind: 'unavailable', key: false, publicText };
    }
  }

  /** null: other octets than the marker is about, or a message that nobody could take apart. */
  async #checked(
    { length, digest }: AtRestMark,
    { octets, discard }: Extract<UnsealOutcome, { kind: 'opened' }>,
  ): Promise<Extract<OpenedView, { kind: 'view' }> | null> {
    const hash = this.#options.marks.digest();
    const view = new MessageView(octets, discard);
    const release = view.hold();
    try {
      if (octets.length === length) {
        for await (const chunk of octets.read()) hash.update(chunk);
        // Nobody can try out digests: a wrong one costs a message of one's own.
        if (hash.digest().equals(digest)) {
          await view.root();
          return { kind: 'view', view, release };
        }
      }
    } catch {
      // Beyond the bounds of what is read as mail.
    }
    release();
    return null;
  }

  #keep(uid: number, view: MessageView): void {
    this.#cache.get(uid)?.release();
    this.#cache.delete(uid);
    this.#cache.set(uid, { view, release: view.hold() });
    for (const [oldest, { release }] of this.#cache) {
      if (this.#cache.size <= CACHED_VIEWS) return;
      this.#cache.delete(oldest);
      release();
    }
  }

  #tell(octets: number): void {
    const { log, session } = this.#options;
    log.write({
      ...{ event: 'mail.opened', level: 'info', session, outcome: 'at-rest', verdict: 'none' },
      ...{ octets, overflow: false },
    });
  }
}

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
import { ViewCache } from './view-cache.ts';

const NOT_NOW = 'This message cannot be opened now. Try again later.';

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
  #fieldOctets = 0;
  /** Of the selected mailbox. */
  readonly #cache: ViewCache;
  readonly #failures: RepeatedFailures;
  #mustLook = true;
  #from = 1;
  /** Mailboxes that were selected: a UID means something in one of them. */
  #selected = 0;

  constructor(options: AtRestOptions) {
    this.#options = options;
    this.#cache = new ViewCache(options.timers);
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

  /** Whether there may be messages whose markers were not looked for. */
  get mustLook(): boolean {
    return this.#mustLook;
  }

  /** More messages are in the mailbox than before. */
  grew(): void {
    this.#mustLook = true;
  }

  /** Markers are being looked for in all messages that are there now. Returns the lowest UID of those that were not looked at. */
  looking(): number {
    this.#mustLook = false;
    return this.#from;
  }

  /** They were found, below that UID. */
  looked(uidNext: number): void {
    this.#from = Math.max(this.#from, uidNext);
  }

  /** Another mailbox, or none, is selected. */
  forget(): void {
    this.#selected++;
    this.#mustLook = true;
    this.#from = 1;
    this.#fields.clear();
    this.#fieldOctets = 0;
    this.#cache.clear();
  }

  /** The session ends. What is opened still keeps nothing. */
  end(): void {
    this.forget();
    this.#cache.end();
  }

  /** @param header a header, or a part of one, that holds the field. false: no marker, or none that is ours for this login */
  learn(uid: number, header: Buffer): boolean {
    const { messages, markOctets } = limits.atRest;
    const before = this.#fields.get(uid);
    const octets = this.#fieldOctets + header.length - (before?.length ?? 0);
    if ((this.#fields.size >= messages && before === undefined) || octets > markOctets) return false;
    if (this.#options.marks.read(header) === null) return false;
    // A copy: what was given may be a part of something far larger.
    this.#fields.set(uid, Buffer.from(header));
    this.#fieldOctets = octets;
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
    return this.#cache.get(String(uid));
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
    const selected = this.#selected;
    const outcome = await this.#unseal(original, patience);
    if (outcome.kind === 'unavailable') {
      const { key, publicText: text } = outcome;
      const penalty = patience.signal.aborted ? {} : { penalty: this.#failures.failed(String(uid)) };
      const isKey = key ? { key: true as const } : {};
      return { kind: 'withheld', reason: { code: 'UNAVAILABLE', text, ...isKey, ...penalty } };
    }
    this.#failures.opened(String(uid));
    const opened = outcome.kind === 'opened' ? await this.#checked(mark, outcome) : null;
    const isHere = selected === this.#selected;
    if (opened === null) {
      if (isHere) this.#forgetMark(uid);
      return null;
    }
    if (opened.kind === 'withheld') return opened;
    if (isHere) this.#cache.keep(String(uid), opened.view, opened.keys);
    this.#tell(original.length);
    return opened;
  }

  #forgetMark(uid: number): void {
    this.#fieldOctets -= this.#fields.get(uid)?.length ?? 0;
    this.#fields.delete(uid);
  }

  async #unseal(octets: OctetSource, patience: Patience): Promise<UnsealOutcome> {
    const { story, session, principal, log } = this.#options;
    try {
      return await story.unseal({ session, principal, octets, patience });
    } catch (error) {
      log.write({ event: 'gateway.defect', level: 'error', where: 'reading.unseal', error: String(error) });
      return { kind: 'unavailable', key: false, publicText: NOT_NOW };
    }
  }

  /** null: other octets than the marker is about. What nobody can take apart is given back as a whole all the same. */
  async #checked(
    { length, digest }: AtRestMark,
    { octets, discard, keys = [] }: Extract<UnsealOutcome, { kind: 'opened' }>,
  ): Promise<OpenedView | null> {
    const hash = this.#options.marks.digest();
    const view = new MessageView(octets, discard);
    const release = view.hold();
    try {
      if (octets.length === length) {
        for await (const chunk of octets.read()) hash.update(chunk);
        // Nobody can try out digests: a wrong one costs a message of one's own.
        if (hash.digest().equals(digest)) return { kind: 'view', view, release, keys };
      }
      release();
      return null;
    } catch (error) {
      release();
      // Of its content nobody knows anything: it must not become another message for that.
      this.#options.log.write({
        ...{ event: 'gateway.defect', level: 'error' },
        ...{ where: 'reading.unseal', error: String(error) },
      });
      return { kind: 'withheld', reason: { code: 'UNAVAILABLE', text: NOT_NOW } };
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

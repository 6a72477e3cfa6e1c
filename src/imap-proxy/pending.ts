import type { SealgateError } from '../errors.ts';
import type { Penalty } from '../reading/repeated-failures.ts';
import type { Withheld } from '../reading/withheld.ts';
import type { FetchCommand } from './fetch-plan.ts';
import type { ResponseItem } from './fetch-response.ts';
import { readSequence, type Sequence } from './sequence-set.ts';

/** A response that could not be answered when it came, and waits for its message. */
export type Parked = {
  msn: number;
  uid: number | null;
  /** Replaced when part of them was told ahead. */
  items: readonly ResponseItem[];
  literals: ReadonlyMap<ResponseItem, Buffer>;
  /** The response as it came, for the case that its message is not S/MIME after all; null: it surely is. */
  raw: readonly Buffer[] | null;
};

/** Told of a command's literals while they go on. */
export interface PassingLiterals {
  /** One of so many octets begins. `line`: that announces it, with its line end. */
  begin(line: Buffer, size: number): void;
  /** They are only there now. */
  push(octets: Buffer): void;
}

/** A command that is on its way upstream and not answered. */
export class Pending {
  readonly tag: string;
  readonly kind: 'client' | 'fetch' | 'select' | 'injected';
  readonly fetch: FetchCommand | null;
  /** Whether its tagged response is kept for whoever waits on `done` instead of passed on. */
  readonly held: boolean;
  #parked: Parked[] | null = null;
  /** How many of them are done with. */
  answered = 0;
  /** Responses whose key is still being waited for; none rejects. */
  readonly postponed: Promise<void>[] = [];
  #exhausted: Map<string, SealgateError> | null = null;
  /** First reason, and how many messages. */
  withheld: Withheld | null = null;
  withheldCount = 0;
  #penalty: Penalty = NO_PENALTY;
  #reply: TaggedReply | null = null;
  /** Made for whoever waits; of most commands nobody does. */
  #done: { promise: Promise<TaggedReply>; resolve: (reply: TaggedReply) => void } | null = null;
  #isFinished = false;
  #finished: { promise: Promise<void>; resolve: () => void } | null = null;
  #continuation: { resolve: () => void; relay: boolean } | null = null;
  settled = false;
  /** The gateway has asked for UIDs, its client has not. */
  addedUid = false;
  /**
   * Of SELECT and EXAMINE, COPY and MOVE, APPEND and REPLACE: the mailbox's name as the client has it, without quotes, latin1;
   * empty: none, or none that was read.
   */
  mailbox = '';
  /** null: nobody is told. */
  literals: PassingLiterals | null = null;
  /** Whether messages are copied to that mailbox. */
  copies = false;
  #sequence: Sequence | null = null;

  constructor(tag: string, kind: Pending['kind'], fetch: FetchCommand | null, held: boolean) {
    this.tag = tag;
    this.kind = kind;
    this.fetch = fetch;
    this.held = held;
  }

  /** Resolves with the upstream's tagged response. */
  get done(): Promise<TaggedReply> {
    if (this.#reply !== null) return Promise.resolve(this.#reply);
    this.#done ??= Promise.withResolvers<TaggedReply>();
    return this.#done.promise;
  }

  /** Resolves when the client has its answer, too. */
  get finished(): Promise<void> {
    if (this.#isFinished) return Promise.resolve();
    this.#finished ??= Promise.withResolvers<void>();
    return this.#finished.promise;
  }

  get parked(): Parked[] {
    this.#parked ??= [];
    return this.#parked;
  }

  /** Keys that were waited for in vain, by label: in one command nobody is asked twice. */
  get exhausted(): Map<string, SealgateError> {
    this.#exhausted ??= new Map();
    return this.#exhausted;
  }

  /** Whether this FETCH is about that message. */
  asksFor(msn: number, uid: number | null): boolean {
    if (this.fetch === null) return true;
    this.#sequence ??= readSequence(this.fetch.set);
    return this.fetch.byUid ? uid !== null && this.#sequence(uid) : this.#sequence(msn);
  }

  /** The message that a FETCH by UID is about, where it asks for a single one. */
  get onlyUid(): number | null {
    const { byUid, set } = this.fetch ?? { byUid: false, set: '' };
    return byUid && /^[1-9][0-9]{0,9}$/.test(set) ? Number(set) : null;
  }

  settle(reply: TaggedReply): void {
    this.settled = true;
    this.#reply ??= reply;
    this.#done?.resolve(reply);
  }

  finish(): void {
    this.#isFinished = true;
    this.#finished?.resolve();
  }

  /** Whether the client's answer is the upstream's, with nothing to wait for and nothing left out. */
  get isPlain(): boolean {
    const { kind, held, postponed, withheld, settled } = this;
    return kind === 'fetch' && !held && !settled && postponed.length === 0 && withheld === null;
  }

  /** Leaves one message out of the answer. */
  withhold(reason: Withheld): void {
    this.withheld ??= reason;
    this.withheldCount++;
    const { delayMs = 0, bye = false } = reason.penalty ?? {};
    this.#penalty = {
      delayMs: Math.max(this.#penalty.delayMs, delayMs),
      bye: this.#penalty.bye || bye,
    };
  }

  /** The heaviest of all messages that were left out. */
  get penalty(): Penalty {
    return this.#penalty;
  }

  /**
   * Resolves with true at the upstream's next continuation request, with false when the command ends instead.
   * `relay`: the client waits for it too, and gets it at once, before anything the upstream says next.
   */
  continuation(relay: boolean): Promise<boolean> {
    const asked = new Promise<boolean>((resolve) => {
      this.#continuation = { resolve: () => resolve(true), relay };
    });
    return Promise.race([asked, this.done.then(() => false)]);
  }

  /** What a continuation request means to this command. */
  continue(): 'relay' | 'consumed' | 'not-waiting' {
    const waiting = this.#continuation;
    this.#continuation = null;
    if (waiting === null) return 'not-waiting';
    waiting.resolve();
    return waiting.relay ? 'relay' : 'consumed';
  }
}

const NO_PENALTY: Penalty = { delayMs: 0, bye: false };

export type TaggedReply = { status: 'OK' | 'NO' | 'BAD' | 'lost'; line: Buffer };

import { FailureError, unavailable } from '../failures.ts';
import type { Inventory } from '../inventory.ts';
import type { Failure, ToKeyProcess } from '../messages.ts';
import type { TokenSource } from '../source-kinds.ts';
import type { ControlChannel } from './control-channel.ts';
import { endProcess } from './end-process.ts';
import type { Leader } from './leader.ts';
import type { LeaderAnswers } from './leader-messages.ts';
import type { TokenWork } from './session-messages.ts';
import type { SessionThreads, SessionThreadsEvents } from './session-threads.ts';
import { TokenLogin } from './token-login.ts';
import { quoted } from './token-words.ts';

/** Between two looks for a card, in or out. Milliseconds. */
const LOOK_MS = 200;
/** For a look that asks the cards what they are. With one that is pulled out in that moment, OpenSC before 0.24 never comes back. Milliseconds. */
const FIND_MS = 20_000;
/** For a look as long as no session is in use: longer, and the module waits for itself. Milliseconds. */
const FIRST_LOOKS_MS = 5_000;
/** A module that does not log out within this time is left to the operating system. Milliseconds. */
const FINISH_MS = 3_000;

type Open = ToKeyProcess & { kind: 'open' };

export type TokenPlaceParts = {
  channel: ControlChannel;
  leader: Leader;
  threads: SessionThreads;
  /** Of `threads`: what happens to them is told here. */
  events: SessionThreadsEvents;
};

/**
 * The story of one token in its key process: found, read, logged in to, used, looked after, and left. Each process has one such
 * story; a token that was taken out ends it, and with it whatever was known of the PIN.
 */
export class TokenPlace {
  readonly #channel: ControlChannel;
  readonly #leader: Leader;
  readonly #threads: SessionThreads;
  #source: TokenSource | null = null;
  #login: TokenLogin | null = null;
  #token: LeaderAnswers['find'] | null = null;
  /** Until it has been told: with the first session that serves. */
  #inventory: Inventory | null = null;
  #concurrent = false;
  /** What further sessions work with; null: not open yet. */
  #work: TokenWork | null = null;
  #ending = false;

  constructor({ channel, leader, threads, events }: TokenPlaceParts) {
    this.#channel = channel;
    this.#leader = leader;
    this.#threads = threads;
    events.serving = (count) => this.#serving(count);
    events.over = (failure) => this.#over(failure);
    events.defect = () => void this.#giveUp();
  }

  listen(): void {
    this.#channel.listen(
      (message) => this.#receive(message),
      () => void this.#close(),
    );
  }

  #receive(message: ToKeyProcess): void {
    switch (message.kind) {
      case 'open':
        if (this.#source !== null || message.place.kind !== 'token') endProcess();
        else void this.#run(message, message.place);
        break;
      case 'permit':
        this.#login?.permitted(message);
        break;
      case 'wanted':
        this.#login?.wanted();
        break;
      case 'grow':
        if (this.#concurrent) this.#threads.grow(message.sessions);
        break;
      case 'reload':
        void this.#reload();
        break;
      case 'close':
        void this.#close();
        break;
    }
  }

  async #run(open: Open, source: TokenSource): Promise<void> {
    this.#source = source;
    this.#leader.patience = open.patience;
    try {
      const { module, initArgs = null, certificates } = source;
      const loaded = await this.#leader.call({ call: 'load', module, initArgs, certificates });
      this.#concurrent = loaded.concurrent;
      const token = await this.#find(open, source);
      this.#token = token;
      if (source.removable) this.#watch();
      const pin = token.loginRequired ? await this.#logIn(open, source, token) : null;
      await this.#open(source, token, pin);
    } catch (error) {
      if (error instanceof FailureError) this.#over(error.failure, 'failed');
      else endProcess();
    }
  }

  /** A card may be out: it is waited for. */
  async #find({ last, patience }: Open, source: TokenSource): Promise<LeaderAnswers['find']> {
    const card = source.removable ? { last } : null;
    const time = source.removable ? Math.min(FIND_MS, patience) : patience;
    let told = '';
    for (;;) {
      try {
        return await this.#leader.call({ call: 'find', selector: source.token, card }, time);
      } catch (error) {
        if (!(error instanceof FailureError) || !source.removable) throw error;
        const { failure } = error;
        if (failure.publicText !== told) this.#channel.send({ kind: 'absent', failure: notIn(failure) });
        told = failure.publicText;
        await pause(LOOK_MS);
      }
    }
  }

  async #logIn(
    { instance }: Open,
    source: TokenSource,
    { description, pinPad }: LeaderAnswers['find'],
  ): Promise<Uint8Array | null> {
    // What a person has to know before typing, and what a card holds that was inserted just now.
    const early = source.removable || 'ask' in source.pin;
    const inventory = early ? await this.#read(source, 'before-login') : null;
    const login = new TokenLogin({
      source,
      instance,
      token: description,
      pinPad,
      inventory: inventory?.inventory ?? null,
      leader: this.#leader,
      send: (message) => this.#channel.send(message),
    });
    this.#login = login;
    return await login.logIn();
  }

  async #open(source: TokenSource, token: LeaderAnswers['find'], pin: Uint8Array | null): Promise<void> {
    const { inventory, handles } = await this.#read(source, 'after-login');
    const session = await this.#leader.call({ call: 'hand-over' });
    const each = [...handles.values()].some(({ alwaysAuthenticate }) => alwaysAuthenticate);
    const { module, removable } = source;
    const { slot, description } = token;
    const work: TokenWork = {
      ...{ kind: 'token', module, slot, label: description.label, session: null },
      ...{ handles, removable, pin: each && pin !== null ? Uint8Array.from(pin) : null },
    };
    pin?.fill(0);
    this.#work = work;
    this.#inventory = inventory;
    this.#threads.begin({ ...work, session }, work);
  }

  #serving(count: number): void {
    if (this.#inventory !== null) this.#channel.send({ kind: 'opened', inventory: this.#inventory });
    this.#inventory = null;
    if (count > 1) this.#channel.send({ kind: 'sessions', count });
  }

  #read(source: TokenSource, stage: Inventory['seen']): Promise<LeaderAnswers['read']> {
    return this.#leader.call({ call: 'read', objects: source.objects, stage });
  }

  async #reload(): Promise<void> {
    const source = this.#source;
    const work = this.#work;
    if (source === null || work === null) return;
    try {
      if (!this.#concurrent) throw new FailureError(unavailable(ONE_THREAD, 'CKR_CANT_LOCK', false));
      const { inventory, handles } = await this.#read(source, 'after-login');
      this.#work = { ...work, handles };
      this.#threads.renew(this.#work);
      if (this.#inventory !== null) this.#inventory = inventory;
      else this.#channel.send({ kind: 'changed', inventory });
    } catch (error) {
      if (!(error instanceof FailureError)) endProcess();
      else this.#channel.send({ kind: 'reload-failed', failure: error.failure });
    }
  }

  /** Where several threads may call the module; otherwise a use of a key finds out. */
  #watch(): void {
    setInterval(() => {
      const busy = this.#leader.isBusy || this.#ending || (this.#work !== null && !this.#concurrent);
      if (!busy) void this.#look();
    }, LOOK_MS);
  }

  async #look(): Promise<void> {
    // While a session computes, others wait in the module; its own time runs at the gateway.
    const there = await this.#leader.call({ call: 'look' }, this.#work === null ? FIRST_LOOKS_MS : undefined);
    if (!there) this.#end('removed', removed(this.#label()));
  }

  /** Nothing more can be done in this process. */
  #over(failure: Failure, otherwise: 'lost' | 'failed' = 'lost'): void {
    if (failure.code.startsWith('key.pin-') && this.#login !== null) {
      this.#channel.send(this.#login.refusedInUse(failure));
      return;
    }
    // While a card is being pulled out, a call into OpenSC may never come back: the next process finds out how it stands.
    const inUse = this.#work !== null && this.#source?.removable === true;
    this.#end(otherwise, inUse ? outOrReset(this.#label(), failure.reason) : failure);
  }

  #end(kind: 'removed' | 'lost' | 'failed', failure: Failure): void {
    if (this.#ending) return;
    this.#ending = true;
    void this.#takeBack().then(() => this.#channel.sendLast({ kind, failure }));
  }

  /** The module does not answer in time, or a thread of its has failed. */
  async #giveUp(): Promise<void> {
    this.#ending = true;
    await this.#takeBack();
    endProcess();
  }

  /** A prompt that outlives this process would take the next PIN that is typed, or leave a terminal without echo. */
  async #takeBack(): Promise<void> {
    setTimeout(endProcess, FINISH_MS);
    await this.#login?.abort();
  }

  /** Logs out if the module still answers, and ends in any case. */
  async #close(): Promise<void> {
    this.#ending = true;
    try {
      await this.#takeBack();
      // Threads that are inside the module are not waited for, as little as what it says.
      if (this.#work !== null) await this.#leader.call({ call: 'finish' });
    } finally {
      endProcess();
    }
  }

  #label(): string {
    return this.#token?.description.label ?? '';
  }
}

const ONE_THREAD = 'The PKCS#11 module is not made for several threads; restart to read the token again.';

function removed(label: string): Failure {
  const text = `The card ${quoted(label)} is not in the reader; insert it and try again.`;
  return unavailable(text, 'the token was taken out', true);
}

function outOrReset(label: string, reason: string): Failure {
  const text = `The card ${quoted(label)} does not answer any more; see that it is in the reader and try again.`;
  return unavailable(text, reason, true);
}

/** For mail users: that a card is out is no error of theirs, and passes. */
function notIn(failure: Failure): Failure {
  return failure.code === 'key.token-absent' ? { ...failure, code: 'key.unavailable' } : failure;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { unreachable } from '../../errors.ts';
import { errorOf } from '../failures.ts';
import type { Inventory } from '../inventory.ts';
import type { KeyPlace, KeyState } from '../key-state.ts';
import type { Failure, FromKeyProcess } from '../messages.ts';
import type { Operation } from '../operation.ts';
import { AwaitedReloads } from './awaited-reloads.ts';
import {
  away,
  endedDuringTypedLogin,
  loginOutcomeUnknown,
  pinNotTyped,
  refusedBefore,
} from './client-failures.ts';
import { holdCompiledCode, letGoOfCompiledCode } from './compiled-code.ts';
import { type KeyClientOptions, type KeyClientTimes, keyClientTimes } from './key-client-options.ts';
import { LoginPermits } from './login-permits.ts';
import { nameOf, tokenOf } from './place-name.ts';
import { RunningKeyProcess } from './running-key-process.ts';
import type { SessionPipe } from './session-pipe.ts';
import { freeSession, handOut, sentAtOnce } from './sessions-by-load.ts';
import { environmentOf, keyProcessProgram, startKeyProcess } from './start-key-process.ts';
import { Starts } from './starts.ts';
import { WaitingRequests } from './waiting-requests.ts';

/**
 * The gateway's side of one key process: starts it, queues requests, watches the time, starts it anew after its end.
 *
 * Holds: a crash or a hang of the module fails the requests that were inside it, with `key.unavailable`, and nothing
 * else; requests that still wait are served by the next process.
 * Must never happen: a secret that a token refused is sent again, or one of which nobody knows whether it was refused.
 *
 * What changes of the place is told by `onChange`; the log has here what is not seen there: processes, PINs.
 */

/** A token that was there for less is out and in all the time, as with a bad contact. Milliseconds. */
const BRIEF_MS = 2_000;
/** Threads for keys from files; more than the machine has processors are of no use. */
const SOFTWARE_SESSIONS = Math.min(8, availableParallelism());
/** Of this run of the gateway. */
const instance = randomUUID();

type Current = {
  readonly process: RunningKeyProcess;
  readonly since: number;
  opened: boolean;
  /** It has said that it ends: what it says after that is not heard. */
  leaving: boolean;
  /** Its token was taken out as soon as it was there: once that is no reason to wait with the next one. */
  brief: boolean;
  /** Sessions that answer. */
  ready: number;
  /** Sessions that were asked for. */
  wanted: number;
  /** A secret has left for the token, and nobody knows yet what became of it. `identity` null: it was typed. */
  login: { identity: string | null } | null;
  /** A person is being asked. */
  asked: boolean;
  /** What this process has achieved: its end is then no reason to wait with the next one. */
  healthy: boolean;
};

type Phase =
  | { kind: 'running'; current: Current }
  | { kind: 'pausing'; timer: NodeJS.Timeout }
  | { kind: 'closed' };

export class KeyClient implements KeyPlace {
  readonly #options: KeyClientOptions;
  readonly #times: KeyClientTimes;
  readonly #starts: Starts;
  readonly #sessions: number;
  readonly #waiting: WaitingRequests;
  readonly #listeners: (() => void)[] = [];
  readonly #settled = Promise.withResolvers<void>();
  readonly #permits: LoginPermits;
  readonly #reloads = new AwaitedReloads();
  readonly #code = holdCompiledCode(process.env);
  #state: KeyState = { kind: 'starting' };
  #phase: Phase;
  #last: Inventory | null;
  #generation = 0;

  private constructor(options: KeyClientOptions) {
    const { place, times } = options;
    this.#options = options;
    this.#last = options.remembered ?? null;
    this.#permits = new LoginPermits(options.refusals);
    this.#times = { ...keyClientTimes, ...times };
    this.#starts = new Starts(this.#times);
    this.#sessions = place.kind === 'token' ? place.sessions : SOFTWARE_SESSIONS;
    this.#waiting = new WaitingRequests(() => errorOf(this.#expired()));
    this.#phase = this.#start();
  }

  /** Starts the key process; `settled` says when it is known how the place stands. */
  static start(options: KeyClientOptions): KeyClient {
    return new KeyClient(options);
  }

  get state(): KeyState {
    return this.#state;
  }

  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  get load(): number {
    const inside = this.#phase.kind === 'running' ? this.#phase.current.process.inside : 0;
    return inside + this.#waiting.count;
  }

  get processId(): number | null {
    return this.#phase.kind === 'running' ? this.#phase.current.process.pid : null;
  }

  get generation(): number {
    return this.#generation;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  perform(operation: Operation): Promise<Buffer> {
    const state = this.#state;
    switch (state.kind) {
      case 'absent':
      case 'refused':
        return Promise.reject(errorOf(state.failure));
      case 'closed':
        return Promise.reject(errorOf(away('closed')));
      case 'starting':
      case 'open':
      case 'locked': {
        if (this.#waiting.isFull(operation)) {
          return Promise.reject(errorOf(away('too many requests wait')));
        }
        const free = state.kind === 'open' ? this.#freeSession() : null;
        if (free !== null) return sentAtOnce(free, operation);
        const time = state.kind === 'locked' ? this.#times.pin : this.#times.wait;
        const result = this.#waiting.add(operation, time);
        if (this.#phase.kind === 'running') this.#serve(this.#phase.current);
        return result;
      }
      default:
        return unreachable(state);
    }
  }

  reload(): Promise<void> {
    const phase = this.#phase;
    if (phase.kind === 'closed') return Promise.reject(errorOf(away('closed')));
    const token = this.#options.place.kind === 'token';
    if (phase.kind === 'pausing') this.#restart(phase.timer);
    // A token that is out is looked for all the time; there is nothing to be read.
    if (token && this.#state.kind !== 'open') return Promise.resolve();
    const reloaded = this.#reloads.add();
    // One that has just been started reads everything anyway.
    if (phase.kind === 'running') {
      phase.current.process.post({ kind: 'reload' });
      if (this.#state.kind === 'open')
        phase.current.process.expectWord(this.#times.open, 'no answer to reload');
    }
    return reloaded;
  }

  async close(): Promise<void> {
    const phase = this.#phase;
    if (phase.kind === 'closed') return;
    this.#phase = { kind: 'closed' };
    const error = errorOf(away('closed'));
    this.#waiting.rejectAll(error);
    this.#reloads.end(error);
    if (phase.kind === 'running') phase.current.process.failInside(error);
    this.#become({ kind: 'closed' });
    if (phase.kind === 'pausing') clearTimeout(phase.timer);
    else await phase.current.process.close(this.#times.close);
    letGoOfCompiledCode();
  }

  #start(): Phase {
    const { place, program } = this.#options;
    const kind = place.kind === 'token' ? 'token' : 'software';
    const environment = { ...environmentOf(place, process.env), NODE_COMPILE_CACHE: this.#code };
    const child = startKeyProcess(program ?? keyProcessProgram, environment, kind, this.#sessions);
    const current: Current = {
      process: new RunningKeyProcess(child, this.#sessions, this.#times.operation, {
        received: (message) => this.#handle(current, message),
        answered: (done) => {
          if (done) {
            current.healthy = true;
            this.#starts.succeeded();
          }
          this.#serve(current);
        },
        ended: (reason) => this.#ended(current, reason),
      }),
      since: performance.now(),
      opened: false,
      leaving: false,
      brief: false,
      ready: 0,
      wanted: 1,
      login: null,
      asked: false,
      healthy: false,
    };
    const last = this.#last?.token?.label ?? null;
    current.process.post({ kind: 'open', place, instance, patience: this.#times.open, last });
    current.process.expectWord(this.#times.open, 'no answer in time while opening');
    this.#generation++;
    return { kind: 'running', current };
  }

  #restart(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#phase = this.#start();
  }

  #handle(current: Current, message: FromKeyProcess): void {
    if (!this.#isCurrent(current) || current.leaving) return;
    // These two are no answer to what a word is expected of.
    if (message.kind !== 'sessions' && message.kind !== 'file-problem') current.process.expectNothing();
    switch (message.kind) {
      case 'absent':
        current.login = null;
        this.#away(message.failure);
        break;
      case 'locked':
        this.#locked(current, message.inventory);
        break;
      case 'login':
        this.#last = message.inventory ?? this.#last;
        void this.#permit(current, message.identity);
        break;
      case 'asking':
        this.#asking(current);
        break;
      case 'not-given':
        current.asked = false;
        this.#waiting.rejectAll(errorOf(message.failure));
        break;
      case 'opened':
        this.#opened(current, message.inventory);
        break;
      case 'sessions':
        this.#ready(current, message.count);
        break;
      case 'changed':
        this.#changed(current, message.inventory);
        break;
      case 'reload-failed':
        if (this.#reloads.any) this.#reloads.end(errorOf(message.failure));
        else this.#tellUnread(message.failure);
        break;
      case 'file-problem':
        this.#tellUnread(message.failure);
        break;
      case 'refused':
        this.#refused(current, message.failure, message.identity);
        break;
      case 'removed':
        current.login = null;
        if (performance.now() - current.since < BRIEF_MS) current.brief = true;
        else current.healthy = true;
        current.process.failInside(errorOf(message.failure));
        this.#leaving(current);
        this.#away(message.failure);
        break;
      case 'lost':
        // What waits, and what comes until it has ended, is for the next process.
        current.ready = 0;
        current.process.failInside(errorOf(message.failure));
        this.#leaving(current);
        break;
      case 'failed':
        if (!this.#maySucceed(current, message.failure)) this.#away(message.failure);
        current.login = null;
        this.#leaving(current);
        break;
      default:
        unreachable(message);
    }
  }

  /**
   * Whether the next process is waited for before anybody is told that the first opening has failed. SoftHSM2 shows no token in the moment in
   * which another process writes to it. A PIN that has left is not sent again in that hope: each answer to it may have cost a try.
   */
  #maySucceed({ since, login }: Current, { duration }: Pick<Failure, 'duration'>): boolean {
    const mayTryAgain = this.#state.kind === 'starting' && login === null && duration === 'temporary';
    return mayTryAgain && this.#starts.leaveHope(since);
  }

  #leaving(current: Current): void {
    current.leaving = true;
    current.process.expectWord(this.#times.close, 'it said that it ends, and did not');
  }

  #locked(current: Current, inventory: Inventory): void {
    current.asked = false;
    this.#last = inventory;
    this.#waiting.renew(this.#times.pin);
    this.#become({ kind: 'locked', inventory });
    this.#serve(current);
  }

  #asking(current: Current): void {
    current.asked = true;
    const token = this.#last?.token?.label ?? '';
    this.#options.log.write({ event: 'key.pin-asked', level: 'info', source: this.#options.source, token });
  }

  /** Whether a secret may leave for the token: what it has refused before, or may have refused, never does. */
  async #permit(current: Current, identity: string | null): Promise<void> {
    const may = await this.#permits.mayLeave(identity);
    // Meanwhile it may have said that it ends: then no secret leaves, and its end says nothing about one.
    if (!this.#isCurrent(current) || current.leaving) return;
    if (may) {
      current.login = { identity };
      current.process.expectWord(Math.max(this.#times.open, this.#times.pin), 'no answer in time to a login');
    }
    current.process.post({ kind: 'permit', may, proven: this.#permits.isProven(identity) });
    if (!may && this.#state.kind !== 'refused') {
      this.#refuse(refusedBefore(this.#options.place, this.#last));
    }
  }

  #opened(current: Current, inventory: Inventory): void {
    if (current.opened) {
      current.process.abandon('opened twice');
      return;
    }
    current.opened = true;
    this.#permits.accepted(current.login?.identity ?? null);
    current.login = null;
    current.asked = false;
    const { log, place } = this.#options;
    const token = inventory.token?.label ?? '';
    log.write({ event: 'key.process-started', level: 'info', module: nameOf(place), token });
    current.ready = 1;
    this.#open(inventory);
    this.#waiting.renew(this.#times.wait);
    this.#serve(current);
  }

  #open(inventory: Inventory): void {
    this.#last = inventory;
    this.#become({ kind: 'open', inventory });
    this.#reloads.end(null);
  }

  #ready(current: Current, count: number): void {
    if (!current.opened || count < current.ready || count > this.#sessions) {
      current.process.abandon('sessions that cannot be');
      return;
    }
    current.ready = count;
    this.#serve(current);
  }

  #changed(current: Current, inventory: Inventory): void {
    if (current.opened) this.#open(inventory);
    else current.process.abandon('a change of what is not open');
  }

  #tellUnread(failure: Failure): void {
    const { log, source } = this.#options;
    const { code, publicText } = failure;
    // With the name of the file, which the private reason leaves out.
    const reason = `${publicText} (${failure.reason})`;
    log.write({ event: 'key.reload-failed', level: 'warn', source, code, reason });
  }

  /** The process goes on looking, or is started again and again. */
  #away(failure: Failure): void {
    this.#waiting.rejectAll(errorOf(failure));
    this.#become({ kind: 'absent', failure, last: this.#last });
    this.#reloads.end(errorOf(failure));
  }

  #refused(current: Current, failure: Failure, identity: string | null): void {
    const { log, place } = this.#options;
    const token = this.#last?.token?.label ?? '';
    const { code } = failure;
    log.write({ event: 'key.pin-refused', level: 'error', module: nameOf(place), token, code });
    current.login = null;
    this.#permits.refused(identity);
    // A person who has mistyped is asked again; those who wait go on waiting.
    const again = identity === null && code === 'key.pin-incorrect' && this.#asksPeople();
    if (!again) this.#refuse(failure);
    if (!current.opened) return;
    // Refused at the use of a key that asks for the PIN each time: its sessions would go on using it.
    current.process.failInside(errorOf(failure));
    if (again && this.#last !== null) this.#become({ kind: 'locked', inventory: this.#last });
    current.process.abandon(failure.reason);
  }

  #refuse(failure: Failure): void {
    this.#waiting.rejectAll(errorOf(failure));
    this.#become({ kind: 'refused', failure, last: this.#last });
    this.#reloads.end(errorOf(failure));
  }

  /** null: it has to wait, or others wait already. */
  #freeSession(): SessionPipe | null {
    if (this.#phase.kind !== 'running' || this.#waiting.count > 0) return null;
    const { process: running, ready } = this.#phase.current;
    return freeSession(running.sessions, ready);
  }

  /** Hands over what waits, two requests to a session at most, and asks for sessions while that is not enough. */
  #serve(current: Current): void {
    if (this.#waiting.count === 0) return;
    if (this.#state.kind === 'locked') {
      if (!current.asked) current.process.post({ kind: 'wanted' });
      current.asked = true;
      return;
    }
    handOut(this.#waiting, current.process.sessions.slice(0, current.ready));
    this.#grow(current);
  }

  #grow(current: Current): void {
    if (this.#waiting.count === 0 || current.ready === 0 || current.ready < current.wanted) return;
    if (current.wanted >= this.#sessions) return;
    current.wanted = Math.min(this.#sessions, current.ready + Math.ceil(this.#waiting.count / 2));
    current.process.post({ kind: 'grow', sessions: current.wanted });
  }

  #ended(current: Current, reason: string): void {
    if (!this.#isCurrent(current)) return;
    const { log, place } = this.#options;
    const token = this.#last?.token?.label ?? '';
    log.write({ event: 'key.process-ended', level: 'warn', module: nameOf(place), token, reason });
    current.process.failInside(errorOf(away(reason)));
    if (current.healthy) this.#starts.succeeded();
    const atOnce = current.healthy || (current.brief && this.#starts.noneHasFailed);
    const delay = atOnce ? 0 : this.#starts.pause;
    const maySucceed = this.#maySucceed(current, away(reason));
    if (!current.healthy) this.#starts.failed();
    const timer = setTimeout(() => this.#restart(timer), delay);
    this.#phase = { kind: 'pausing', timer };
    this.#afterEnd(current, reason, maySucceed);
    this.#reloads.end(errorOf(away(reason)));
  }

  #afterEnd(current: Current, reason: string, maySucceed: boolean): void {
    const { login } = current;
    if (login !== null && login.identity !== null && !this.#permits.isProven(login.identity)) {
      this.#permits.refused(login.identity);
      this.#refuse(loginOutcomeUnknown(this.#options.place, reason));
      return;
    }
    switch (this.#state.kind) {
      case 'starting':
        if (!maySucceed) this.#away(away(reason));
        break;
      case 'locked':
        if (login !== null) this.#waiting.rejectAll(errorOf(endedDuringTypedLogin(reason)));
        // Each start lets them wait anew.
        else if (this.#starts.areTooMany) this.#away(away(reason));
        break;
      case 'open':
        if (this.#starts.areTooMany) this.#away(away(reason));
        break;
      case 'absent':
      case 'refused':
      case 'closed':
        break;
      default:
        unreachable(this.#state);
    }
  }

  #become(state: KeyState): void {
    this.#state = state;
    this.#settled.resolve();
    for (const listener of this.#listeners) listener();
  }

  #expired(): Failure {
    return this.#state.kind === 'locked' ? pinNotTyped(this.#last) : away('waited too long for its turn');
  }

  #asksPeople(): boolean {
    const pin = tokenOf(this.#options.place)?.pin;
    return pin !== undefined && 'ask' in pin;
  }

  #isCurrent(current: Current): boolean {
    return this.#phase.kind === 'running' && this.#phase.current === current;
  }
}

import type { ChildProcess } from 'node:child_process';
import { type SealgateError, unreachable } from '../../errors.ts';
import type { Log } from '../../log/log.ts';
import type { Secret } from '../../log/secret.ts';
import { errorOf, unavailable } from '../failures.ts';
import {
  type Failure,
  type FromKeyProcess,
  type Operation,
  parseFromKeyProcess,
  type TokenDescription,
  type TokenSelector,
} from '../token-messages.ts';

import {
  endChild,
  inheritedEnvironment,
  keyProcessProgram,
  post,
  startKeyProcess,
} from './start-token-process.ts';

/**
 * The gateway's side of a key process: starts it, queues requests, watches the time, starts it anew after a crash.
 *
 * Holds: a crash or a hang of the module fails the requests that were inside it, with `key.unavailable`, and nothing
 * else; requests that still wait are served by the next process.
 * Must never happen: the PIN is sent again after a token refused it, or while nobody knows whether it was refused.
 */

export type KeyClientOptions = {
  /** Path of the PKCS#11 library. */
  module: string;
  token: TokenSelector;
  pin: Secret;
  /** DER of certificates that are not on the token. */
  certificates: readonly Uint8Array[];
  /** What the module needs of an environment, besides locale and home. Never a secret. */
  environment: Readonly<Record<string, string>>;
  /** Parallel operations: sessions with the token. */
  threads: number;
  log: Log;
  times: KeyClientTimes;
  /** Another program in place of key-process.ts; for tests. */
  program?: URL;
};

/** Milliseconds. */
export type KeyClientTimes = {
  /** Initialising, login and reading the objects; network tokens with thousands of objects are slow. */
  open: number;
  /** One operation inside the module; after that it is taken for hung. */
  operation: number;
  /** How long a request waits for its turn, a restart included. */
  wait: number;
  /** Before the first restart; doubles with every start that brings no success. */
  restart: number;
  restartMost: number;
  /** For logging out. */
  close: number;
};

export const keyClientTimes: KeyClientTimes = {
  open: 60_000,
  operation: 30_000,
  wait: 15_000,
  restart: 100,
  restartMost: 30_000,
  close: 5_000,
};

/** More than this and waiting is hopeless: the answer is a 4xx at once. */
const MAX_WAITING = 2_000;

type Request = {
  operation: Operation;
  timer: NodeJS.Timeout;
  resolve(octets: Buffer): void;
  reject(error: SealgateError): void;
};

type State =
  | { kind: 'opening'; child: ChildProcess; timer: NodeJS.Timeout; loginAttempted: boolean }
  | { kind: 'open'; child: ChildProcess; inside: Map<number, Request> }
  | { kind: 'pausing'; timer: NodeJS.Timeout }
  /** For good: the PIN is not right, or nobody knows. */
  | { kind: 'stopped'; error: SealgateError }
  | { kind: 'closed' };

export class KeyClient {
  readonly #options: KeyClientOptions;
  readonly #waiting: Request[] = [];
  readonly #firstOpening = Promise.withResolvers<TokenDescription>();
  #state: State;
  #token: TokenDescription | null = null;
  #nextId = 0;
  /** Starts since the last success. */
  #failures = 0;

  private constructor(options: KeyClientOptions) {
    this.#options = options;
    this.#state = this.#start();
  }

  /**
   * Starts the key process and waits until the token is open.
   *
   * @throws SealgateError `key.pin-incorrect`, `key.pin-locked`, `key.pin-last-try`, `key.module-unreadable`,
   *   `key.token-absent`, `key.token-ambiguous`, `key.unavailable`; nothing is left running then
   */
  static async open(options: KeyClientOptions): Promise<KeyClient> {
    const client = new KeyClient(options);
    try {
      await client.#firstOpening.promise;
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  /** What the token held when it was last opened. */
  get token(): TokenDescription {
    if (this.#token === null) throw new Error('the token was never open');
    return this.#token;
  }

  /** null: no key process at the moment. */
  get processId(): number | null {
    const state = this.#state;
    return state.kind === 'open' || state.kind === 'opening' ? (state.child.pid ?? null) : null;
  }

  /** @throws SealgateError `key.unavailable`, `key.refused`, `key.decrypt-failed`, `key.pin-incorrect` */
  perform(operation: Operation): Promise<Buffer> {
    const state = this.#state;
    if (state.kind === 'stopped') return Promise.reject(state.error);
    if (state.kind === 'closed') return Promise.reject(errorOf(away('closed')));
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(errorOf(away('too many requests wait')));
    return new Promise((resolve, reject) => {
      const request: Request = {
        operation,
        resolve,
        reject,
        timer: setTimeout(() => this.#expire(request), this.#options.times.wait),
      };
      this.#waiting.push(request);
      this.#dispatch();
    });
  }

  /** Logs out and ends the key process. Requests that are not answered yet get `key.unavailable`. */
  async close(): Promise<void> {
    const state = this.#state;
    this.#state = { kind: 'closed' };
    this.#rejectWaiting(errorOf(away('closed')));
    switch (state.kind) {
      case 'opening':
        clearTimeout(state.timer);
        this.#firstOpening.reject(errorOf(away('closed')));
        return endChild(state.child, 0);
      case 'open':
        for (const request of state.inside.values()) fail(request, errorOf(away('closed')));
        post(state.child, { kind: 'close' });
        return endChild(state.child, this.#options.times.close);
      case 'pausing':
        clearTimeout(state.timer);
        return;
      case 'stopped':
      case 'closed':
        return;
      default:
        return unreachable(state);
    }
  }

  #start(): State {
    const { module, pin, threads, environment, times, program } = this.#options;
    const child = startKeyProcess(program ?? keyProcessProgram, {
      ...inheritedEnvironment(process.env),
      ...environment,
    });
    child.on('message', (value) => this.#receive(child, value));
    child.once('exit', (code, signal) => this.#ended(child, signal ?? `exit code ${code}`));
    child.once('error', (error) => this.#ended(child, error.message));
    const token = this.#token;
    post(child, {
      kind: 'open',
      module,
      // The same token again, not another one with its name: the PIN was proven for this one.
      token: token === null ? this.#options.token : { by: 'serial', serial: token.serial },
      pin: pin.reveal(),
      pinProven: token !== null,
      threads,
      certificates: [...this.#options.certificates],
    });
    const timer = setTimeout(() => this.#abandon(child, 'no answer in time while opening'), times.open);
    return { kind: 'opening', child, timer, loginAttempted: false };
  }

  #receive(child: ChildProcess, value: unknown): void {
    if (!this.#isCurrent(child)) return;
    const message = parseFromKeyProcess(value);
    if (message === null) {
      this.#abandon(child, 'an answer that is not one');
      return;
    }
    this.#handle(child, message);
  }

  #handle(child: ChildProcess, message: FromKeyProcess): void {
    switch (message.kind) {
      case 'login-attempted':
        if (this.#state.kind === 'opening') this.#state.loginAttempted = true;
        return;
      case 'opened':
        this.#opened(child, message.token);
        return;
      case 'open-failed':
        this.#openFailed(child, message.failure);
        return;
      case 'done': {
        this.#failures = 0;
        const request = this.#take(message.id);
        if (request === null) {
          this.#abandon(child, 'an answer to no request');
          return;
        }
        clearTimeout(request.timer);
        request.resolve(Buffer.from(message.octets));
        this.#dispatch();
        return;
      }
      case 'failed': {
        const request = this.#take(message.id);
        if (request === null) {
          this.#abandon(child, 'an answer to no request');
          return;
        }
        fail(request, errorOf(message.failure));
        if (isPinFailure(message.failure)) {
          this.#stop(child, errorOf(message.failure));
          return;
        }
        if (message.failure.sessionLost) {
          this.#abandon(child, message.failure.reason);
          return;
        }
        this.#dispatch();
        return;
      }
      default:
        unreachable(message);
    }
  }

  #opened(child: ChildProcess, token: TokenDescription): void {
    if (this.#state.kind !== 'opening') {
      this.#abandon(child, 'opened twice');
      return;
    }
    clearTimeout(this.#state.timer);
    this.#state = { kind: 'open', child, inside: new Map() };
    this.#token = token;
    this.#options.log.write({
      event: 'key.process-started',
      level: 'info',
      module: this.#options.module,
      token: token.label,
    });
    this.#firstOpening.resolve(token);
    this.#dispatch();
  }

  #openFailed(child: ChildProcess, failure: Failure): void {
    const error = errorOf(failure);
    this.#firstOpening.reject(error);
    if (isPinFailure(failure)) {
      this.#stop(child, error);
      return;
    }
    this.#abandon(child, failure.reason);
  }

  #take(id: number): Request | null {
    if (this.#state.kind !== 'open') return null;
    const request = this.#state.inside.get(id) ?? null;
    this.#state.inside.delete(id);
    return request;
  }

  /** Hands over as many requests as there are threads, and one more each so that none is idle meanwhile. */
  #dispatch(): void {
    const state = this.#state;
    if (state.kind !== 'open') return;
    while (state.inside.size < 2 * this.#options.threads) {
      const request = this.#waiting.shift();
      if (request === undefined) return;
      const id = this.#nextId++;
      state.inside.set(id, request);
      clearTimeout(request.timer);
      request.timer = setTimeout(
        () => this.#abandon(state.child, 'an operation did not end in time'),
        this.#options.times.operation,
      );
      post(state.child, { kind: 'perform', id, operation: request.operation });
    }
  }

  #expire(request: Request): void {
    const at = this.#waiting.indexOf(request);
    if (at >= 0) this.#waiting.splice(at, 1);
    fail(request, errorOf(away('waited too long for its turn')));
  }

  /** The process is no longer to be relied upon. */
  #abandon(child: ChildProcess, reason: string): void {
    child.kill('SIGKILL');
    this.#ended(child, reason);
  }

  #ended(child: ChildProcess, reason: string): void {
    if (!this.#isCurrent(child)) return;
    const state = this.#state;
    const { module, log, times } = this.#options;
    log.write({ event: 'key.process-ended', level: 'warn', module, token: this.#tokenName(), reason });
    if (state.kind === 'open') {
      for (const request of state.inside.values()) fail(request, errorOf(away(reason)));
    }
    if (state.kind === 'opening') clearTimeout(state.timer);
    if (this.#token === null) {
      const error = errorOf(
        state.kind === 'opening' && state.loginAttempted ? pinUnknown(reason) : away(reason),
      );
      this.#firstOpening.reject(error);
      this.#state = { kind: 'stopped', error };
      return;
    }
    // From here on the PIN is known to be right: this very token accepted it.
    const delay = Math.min(times.restart * 2 ** Math.min(this.#failures, 20), times.restartMost);
    this.#failures++;
    const timer = setTimeout(() => {
      this.#state = this.#start();
    }, delay);
    this.#state = { kind: 'pausing', timer };
  }

  /** Ends for good: whatever is asked from now on gets `error`, and no process is started again. */
  #stop(child: ChildProcess, error: SealgateError): void {
    const { module, log } = this.#options;
    log.write({
      event: 'key.pin-refused',
      level: 'error',
      module,
      token: this.#tokenName(),
      code: error.code,
    });
    const state = this.#state;
    if (state.kind === 'open') for (const request of state.inside.values()) fail(request, error);
    if (state.kind === 'opening') clearTimeout(state.timer);
    this.#state = { kind: 'stopped', error };
    this.#rejectWaiting(error);
    child.kill('SIGKILL');
  }

  #rejectWaiting(error: SealgateError): void {
    for (const request of this.#waiting.splice(0)) fail(request, error);
  }

  #isCurrent(child: ChildProcess): boolean {
    const state = this.#state;
    return (state.kind === 'opening' || state.kind === 'open') && state.child === child;
  }

  #tokenName(): string {
    const { token } = this.#options;
    return this.#token?.label ?? (token.by === 'label' ? token.label : token.serial);
  }
}

function fail(request: Request, error: SealgateError): void {
  clearTimeout(request.timer);
  request.reject(error);
}

function isPinFailure(failure: Failure): boolean {
  return (
    failure.code === 'key.pin-incorrect' ||
    failure.code === 'key.pin-locked' ||
    failure.code === 'key.pin-last-try'
  );
}

function away(reason: string): Failure {
  return unavailable('The key is not available at the moment; try again in a minute.', reason, true);
}

function pinUnknown(reason: string): Failure {
  return {
    code: 'key.unavailable',
    publicText:
      'The PKCS#11 module ended while it was checking the PIN, so nobody knows whether the PIN is right; it is not sent again by itself. Check the module and the PIN (for example with pkcs11-tool --login), then start again.',
    duration: 'permanent',
    reason,
    sessionLost: true,
  };
}

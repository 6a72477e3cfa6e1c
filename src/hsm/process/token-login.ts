import { hash } from 'node:crypto';
import { FailureError } from '../failures.ts';
import type { Inventory } from '../inventory.ts';
import type { Failure, FromKeyProcess, ToKeyProcess } from '../messages.ts';
import { PinDialog } from '../pin/pin-dialog.ts';
import { identityOf, readSecret } from '../pin/secret.ts';
import type { SecretSource, TokenSource } from '../source-kinds.ts';
import { endProcess } from './end-process.ts';
import type { Leader } from './leader.ts';
import { pinLocked, type TokenDescription, wasNotSent } from './token-slot.ts';

/** Between two looks whether a secret has changed. Milliseconds. */
const CHANGE_MS = 1_000;
/** Between two looks whether a token was unblocked, which costs its driver a word with it. Milliseconds. */
const UNBLOCKED_MS = 3_000;
/** For such a look. With a card that is pulled out in that moment, OpenSC before 0.24 never comes back. Milliseconds. */
const DESCRIBE_MS = 5_000;

export type TokenLoginOptions = {
  source: TokenSource;
  /** Of the running gateway. */
  instance: string;
  token: TokenDescription;
  /** The PIN is typed on the reader's own keys, if a person is to be asked. */
  pinPad: boolean;
  /** What was read before the login; null: nothing was. */
  inventory: Inventory | null;
  leader: Leader;
  send(message: FromKeyProcess): void;
};

type Permit = ToKeyProcess & { kind: 'permit' };

/**
 * The way to a token that is logged in to: the secret from where the configuration says, the gateway's leave to send it, C_Login.
 *
 * Must never happen: a secret leaves for the token without leave, a second time after it was refused, or with one try left
 * although nobody knows that it is right.
 */
export class TokenLogin {
  readonly #options: TokenLoginOptions;
  readonly #abort = new AbortController();
  /** The question that a person is being asked. */
  #question: Promise<unknown> = Promise.resolve();
  #permit: PromiseWithResolvers<Permit> | null = null;
  #wanted = Promise.withResolvers<void>();
  /** Whether anybody waits for the token to be unblocked. */
  #looking = false;
  /** Of the secret that was accepted; null: typed. */
  #identity: string | null = null;

  constructor(options: TokenLoginOptions) {
    this.#options = options;
  }

  permitted(permit: Permit): void {
    this.#permit?.resolve(permit);
  }

  wanted(): void {
    this.#wanted.resolve();
  }

  /** Takes the question off the screen; resolves when it is gone, and the terminal as it was. Never rejects. */
  async abort(): Promise<void> {
    this.#abort.abort();
    await this.#question;
  }

  /**
   * Comes back when the token is logged in to, however long that takes.
   *
   * @returns the PIN, which the caller overwrites; null: it was typed on the reader
   * @throws FailureError where it is not the secret's fault
   */
  async logIn(): Promise<Uint8Array | null> {
    const { pin } = this.#options.source;
    if (!('ask' in pin)) return await this.#logInBySecret(pin);
    return await this.#logInByPerson();
  }

  /** The token does not accept any more what it has accepted before. */
  refusedInUse(failure: Failure): FromKeyProcess {
    return { kind: 'refused', failure, identity: this.#identity };
  }

  async #logInBySecret(source: SecretSource): Promise<Uint8Array> {
    const { leader, send, inventory } = this.#options;
    for (;;) {
      // Looked at before it is read: what is written meanwhile is a change.
      const seen = identityOf(source);
      const secret = readSecret(source);
      if (secret.kind !== 'pin') {
        send({ kind: 'absent', failure: noSecret(secret) });
        await this.#change(source, seen, false);
        continue;
      }
      const identity = this.#identityOf(secret.identity ?? '');
      const { may, proven } = await this.#leave(identity, inventory);
      let blocked = false;
      if (may) {
        try {
          await leader.call({ call: 'login', pin: secret.pin, lastTryToo: proven });
          this.#identity = identity;
          return secret.pin;
        } catch (error) {
          if (!(error instanceof FailureError)) throw error;
          const { failure } = error;
          // Certainly not judged, or right for certain: another process may try again.
          if (failure.code === 'key.unavailable' && (failure.duration === 'temporary' || proven)) throw error;
          blocked = failure.code === 'key.pin-locked' || failure.code === 'key.pin-last-try';
          send({ kind: 'refused', failure, identity: wasNotSent(failure) ? null : identity });
        }
      }
      secret.pin.fill(0);
      await this.#change(source, secret.identity, blocked);
    }
  }

  async #logInByPerson(): Promise<Uint8Array | null> {
    const { send, inventory, source } = this.#options;
    const dialog = new PinDialog({ source: source.pin });
    let state = this.#options.token.pin;
    for (;;) {
      if (state === 'locked') {
        send({ kind: 'refused', failure: pinLocked(this.#options.token.label), identity: null });
        state = await this.#unblocked();
      }
      this.#wanted = Promise.withResolvers<void>();
      send({ kind: 'locked', inventory: inventory ?? nothingRead(this.#options.token) });
      let previousError: string | null = null;
      for (;;) {
        if (previousError === null) await this.#wanted.promise;
        // Now, when the card is needed: whoever has said no is about to take it out, and what asks it meanwhile may never come back.
        state = (await this.#pinState()) ?? state;
        if (state === 'locked') break;
        const outcome = await this.#tryByPerson(dialog, state, previousError);
        if (outcome.kind === 'done') return outcome.pin;
        previousError = outcome.previousError;
      }
    }
  }

  async #tryByPerson(
    dialog: PinDialog,
    tries: TokenDescription['pin'],
    previousError: string | null,
  ): Promise<{ kind: 'done'; pin: Uint8Array | null } | { kind: 'not-done'; previousError: string | null }> {
    const { leader, send, token, pinPad, inventory } = this.#options;
    let pin: Buffer | null = null;
    if (dialog.mayAsk) send({ kind: 'asking' });
    if (!pinPad) {
      const { label, serial, reader } = token;
      const prompt = { purpose: 'log-in', token: { label, serial, reader, tries }, previousError } as const;
      const question = dialog.ask(prompt, { signal: this.#abort.signal });
      this.#question = question;
      const outcome = await question;
      if (outcome.kind !== 'pin') {
        const { publicText } = outcome;
        return this.#notGiven(previousError === null ? publicText : `${previousError} ${publicText}`);
      }
      pin = outcome.pin;
    }
    await this.#leave(null, inventory);
    // Nobody else knows how long a person looks for the keys of a reader.
    if (pinPad) send({ kind: 'asking' });
    const login = { call: 'login', pin, lastTryToo: true } as const;
    try {
      await (pinPad ? leader.call(login, null) : leader.call(login));
      return { kind: 'done', pin };
    } catch (error) {
      if (!(error instanceof FailureError)) throw error;
      const { failure } = error;
      if (failure.code === 'key.unavailable' && failure.duration === 'temporary' && !pinPad) throw error;
      pin?.fill(0);
      if (pinPad && failure.code === 'key.unavailable') {
        return this.#notGiven(failure.publicText);
      }
      send({ kind: 'refused', failure: { ...failure, code: 'key.pin-incorrect' }, identity: null });
      return { kind: 'not-done', previousError: failure.publicText };
    }
  }

  /** Whoever wants a key from now on has not had this answer: their wish is another one, however soon it comes. */
  #notGiven(publicText: string): { kind: 'not-done'; previousError: null } {
    this.#wanted = Promise.withResolvers<void>();
    this.#options.send({ kind: 'not-given', failure: pinNeeded(publicText) });
    return { kind: 'not-done', previousError: null };
  }

  /** The gateway writes down that a try is made before it is made. */
  async #leave(identity: string | null, inventory: Inventory | null): Promise<Permit> {
    this.#permit = Promise.withResolvers<Permit>();
    this.#options.send({ kind: 'login', identity, inventory });
    return await this.#permit.promise;
  }

  /** Waits until the secret is another one, or where the token is blocked, until it is not any more. */
  async #change(source: SecretSource, identity: string | null, blocked: boolean): Promise<void> {
    const unblocked = blocked ? this.#unblocked() : null;
    let over = false;
    void unblocked?.then(() => {
      over = true;
    }, endProcess);
    while (!over && identityOf(source) === identity) await pause(CHANGE_MS);
    this.#looking = false;
  }

  /** Settles when the token is not blocked any more, or when nobody wants to know. */
  async #unblocked(): Promise<TokenDescription['pin']> {
    this.#looking = true;
    for (;;) {
      await pause(UNBLOCKED_MS);
      const state = this.#looking ? await this.#pinState() : 'fine';
      if (state !== null && state !== 'locked' && state !== 'final-try') return state;
    }
  }

  async #pinState(): Promise<TokenDescription['pin'] | null> {
    return (await this.#options.leader.call({ call: 'describe' }, DESCRIBE_MS))?.pin ?? null;
  }

  /** A variable of the environment is another secret in another run of the gateway; a token refuses for itself alone. */
  #identityOf(secret: string): string {
    const { source, instance, token } = this.#options;
    const run = 'env' in source.pin ? instance : '';
    const parts = [secret, run, token.manufacturer, token.model, token.serial];
    return hash('sha256', JSON.stringify(parts));
  }
}

function nothingRead(token: TokenDescription): Inventory {
  return { token, keys: [], certificates: [], seen: 'before-login' };
}

function noSecret(outcome: { publicText: string; duration: 'temporary' | 'permanent' }): Failure {
  const { publicText, duration } = outcome;
  return { code: 'key.pin-missing', publicText, duration, reason: 'no PIN', sessionLost: true };
}

function pinNeeded(publicText: string): Failure {
  return {
    code: 'key.pin-needed',
    publicText,
    duration: 'temporary',
    reason: 'no PIN was given',
    sessionLost: false,
  };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

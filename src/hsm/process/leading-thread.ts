import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import pkcs11 from 'pkcs11js';
import { SealgateError, unreachable } from '../../errors.ts';
import { readCertificates } from '../../pki/certificate-file.ts';
import { FailureError, unavailable } from '../failures.ts';
import type { Failure } from '../messages.ts';
import type { TokenSelector } from '../source-kinds.ts';
import { LEADING_THREAD, type LeaderAnswer, type LeaderAnswers, type LeaderCall } from './leader-messages.ts';
import { CKF_TOKEN_PRESENT } from './pkcs11-numbers.ts';
import { SlotChanges } from './slot-changes.ts';
import { readObjects } from './token-inventory.ts';
import {
  describeToken,
  type FoundToken,
  findToken,
  initialize,
  listTokens,
  loadModule,
  login,
  meantToken,
  reasonOf,
} from './token-slot.ts';
import type { ExpectedCard } from './token-words.ts';

/** Between two questions to a card that did not answer, and to all cards where a module tells of no events. Milliseconds. */
const ASK_AGAIN_MS = 3_000;

/**
 * The leading thread of a token's key process: finds the token, logs in, reads what it holds, and looks whether it is still there.
 * Every call blocks it until the module has answered (the binding's callback forms crash under garbage collection).
 */
class LeadingThread {
  #module: pkcs11.PKCS11 | null = null;
  #certificates: readonly Buffer[] = [];
  #token: FoundToken | null = null;
  #slots: SlotChanges | null = null;
  /** What came of the last look at all cards, and when they are to be asked again though nothing has changed. */
  #notFound: FailureError | null = null;
  #askAgain = 0;
  /** The first one: the login ends with the last session of the process. */
  #session: Buffer | null = null;
  /** For looking and reading, while others use the first one. null: the token allows none. */
  #ownSession: Buffer | null = null;

  answer(call: LeaderCall): LeaderAnswers[keyof LeaderAnswers] {
    switch (call.call) {
      case 'load': {
        this.#certificates = call.certificates.flatMap(certificatesOf);
        this.#module = loadModule(call.module);
        return { concurrent: initialize(this.#module, call.initArgs) };
      }
      case 'find':
        return this.#find(call);
      case 'read':
        return this.#read(call);
      case 'login':
        login(
          this.#loaded(),
          present(this.#session),
          present(this.#token),
          call.pin === null ? null : Buffer.from(call.pin).toString('utf8'),
          call.lastTryToo,
        );
        return null;
      case 'look':
        return this.#look();
      case 'describe':
        return describeToken(this.#loaded(), present(this.#token).slot)?.description ?? null;
      case 'hand-over':
        return this.#handOver();
      case 'finish':
        this.#finish();
        return null;
      default:
        return unreachable(call);
    }
  }

  #find({ selector, card }: LeaderCall & { call: 'find' }): LeaderAnswers['find'] {
    const module = this.#loaded();
    const token = card === null ? findToken(module, selector) : this.#findCard(selector, card);
    this.#token = token;
    this.#session = module.C_OpenSession(token.slot, pkcs11.CKF_SERIAL_SESSION);
    return token;
  }

  /** A card that is not the one is asked once what it is. */
  #findCard(selector: TokenSelector, card: ExpectedCard): FoundToken {
    this.#slots ??= new SlotChanges(this.#loaded());
    const { present, change } = this.#slots.since();
    const due = performance.now() >= this.#askAgain;
    if (this.#notFound !== null && change !== 'yes' && !due) throw this.#notFound;
    const tokens = listTokens(this.#loaded());
    // One that does not answer yet is given time; one that has answered has said all, unless another may be in its place.
    const quiet = change !== 'unknown' && tokens.length === present;
    this.#askAgain = quiet ? Number.POSITIVE_INFINITY : performance.now() + ASK_AGAIN_MS;
    try {
      return meantToken(tokens, selector, card);
    } catch (error) {
      this.#notFound = error instanceof FailureError ? error : null;
      throw error;
    }
  }

  #read({ objects, stage }: LeaderCall & { call: 'read' }): LeaderAnswers['read'] {
    const token = present(this.#token).description;
    const session = this.#ownSession ?? present(this.#session);
    return readObjects(this.#loaded(), session, token, this.#certificates, objects, stage);
  }

  #look(): boolean {
    const module = this.#loaded();
    try {
      // Nothing of the session is asked: while its card is being pulled out, OpenSC may wait for itself in C_GetSessionInfo, for
      // ever. A card that was out and in again between two looks is noticed by its next use, whose session is gone.
      const info = module.C_GetSlotInfo(present(this.#token).slot);
      return (info.flags & CKF_TOKEN_PRESENT) !== 0;
    } catch (error) {
      if (error instanceof pkcs11.Pkcs11Error) return false;
      throw error;
    }
  }

  #handOver(): Uint8Array {
    const session = present(this.#session);
    this.#session = null;
    try {
      this.#ownSession = this.#loaded().C_OpenSession(present(this.#token).slot, pkcs11.CKF_SERIAL_SESSION);
    } catch (error) {
      // The only session that the token allows is for those who work.
      if (!(error instanceof pkcs11.Pkcs11Error)) throw error;
    }
    return session;
  }

  #finish(): void {
    const module = this.#module;
    const session = this.#ownSession ?? this.#session;
    if (module === null) return;
    if (session !== null) module.C_Logout(session);
    module.C_Finalize();
  }

  #loaded(): pkcs11.PKCS11 {
    return present(this.#module);
  }
}

/** @throws FailureError */
function certificatesOf(path: string): Buffer[] {
  try {
    return readCertificates(readFileSync(path)).map(({ der }) => der);
  } catch (error) {
    throw new FailureError({
      code: 'key.certificate-unreadable',
      publicText: `${path} cannot be read as certificates${error instanceof SealgateError ? `: ${error.publicText}` : '; check the path and its permissions.'}`,
      duration: 'permanent',
      reason: error instanceof Error ? error.message : String(error),
      sessionLost: true,
    });
  }
}

function present<T>(value: T | null): T {
  if (value === null) throw new TypeError('a call before its time');
  return value;
}

function failureOf(error: unknown): Failure {
  if (error instanceof FailureError) return error.failure;
  return unavailable(
    'The token does not answer as it should; look at the module’s own log.',
    reasonOf(error),
    true,
  );
}

if (!isMainThread && workerData === LEADING_THREAD && parentPort !== null) {
  const port = parentPort;
  const thread = new LeadingThread();
  // For the threads of the next process: this one will be killed before it would do so by itself.
  flushCompileCache();
  const tell = (answer: LeaderAnswer): void => port.postMessage(answer);
  port.on('message', (call: LeaderCall) => {
    try {
      tell({ kind: 'answer', answer: thread.answer(call) });
    } catch (error) {
      tell({ kind: 'failed', failure: failureOf(error) });
    }
  });
}

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import pkcs11 from 'pkcs11js';
import { unreachable } from '../../errors.ts';
import { FailureError, refused, unavailable } from '../failures.ts';
import type { Failure, Open, Operation } from '../token-messages.ts';
import { isReturnValue, operationFailure } from './pkcs11-errors.ts';
import { type FromThread, KEY_THREAD, type Shared, type ToThread } from './thread-messages.ts';
import { readObjects } from './token-objects.ts';
import { performOperation, type TokenSession } from './token-operations.ts';
import { findToken, initialize, loadModule, login, loginFailure } from './token-thread-slot.ts';

/**
 * A thread of the key process: the only place that calls the PKCS#11 module, synchronously (the binding's callback
 * forms crash under garbage collection). A module that hangs stops its thread; the process stays able to end.
 */
export class KeyThread {
  readonly #send: (message: FromThread) => void;
  #state: { module: pkcs11.PKCS11; session: Buffer; shared: Shared } | null = null;

  constructor(send: (message: FromThread) => void) {
    this.#send = send;
  }

  receive(message: ToThread): void {
    switch (message.kind) {
      case 'lead':
        this.#opening(() => this.#lead(message.open));
        return;
      case 'join':
        this.#opening(() => this.#join(message.shared));
        return;
      case 'perform':
        this.#send(this.#perform(message.id, message.operation));
        return;
      case 'finalize':
        this.#finalize();
        this.#send({ kind: 'finalized' });
        return;
      default:
        unreachable(message);
    }
  }

  #opening(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#send({ kind: 'open-failed', failure: openFailure(error) });
    }
  }

  #lead(open: Open): void {
    const module = loadModule(open.module);
    const concurrent = initialize(module);
    const token = findToken(module, open.token);
    const session = module.C_OpenSession(token.slot, pkcs11.CKF_SERIAL_SESSION);
    login(module, session, token, open, () => this.#send({ kind: 'login-attempted' }));
    const objects = readObjects(module, session, open.certificates);
    const mechanisms = module.C_GetMechanismList(token.slot);
    const shared: Shared = {
      module: open.module,
      pin: open.pin,
      slot: token.slot,
      label: token.label,
      keys: objects.handles,
      mechanisms,
    };
    this.#state = { module, session, shared };
    this.#send({
      kind: 'led',
      shared,
      concurrent,
      token: {
        label: token.label,
        serial: token.serial,
        mechanisms,
        keys: [...objects.keys],
        certificates: [...objects.certificates],
      },
    });
  }

  #join(shared: Shared): void {
    // The same library in the same process: it is initialised and logged in (PKCS#11 v2.40: sessions of one application share the login).
    const module = loadModule(shared.module);
    const session = module.C_OpenSession(Buffer.from(shared.slot), pkcs11.CKF_SERIAL_SESSION);
    this.#state = { module, session, shared };
    this.#send({ kind: 'joined' });
  }

  #perform(id: number, operation: Operation): FromThread {
    const state = this.#state;
    if (state === null) return { kind: 'failed', id, failure: notOpen('no session') };
    const key = state.shared.keys.get(operation.key);
    if (key === undefined) {
      return { kind: 'failed', id, failure: notOpen('the key is not on the token any more') };
    }
    try {
      const on = this.#tokenSession(state);
      let octets: Buffer;
      try {
        octets = performOperation(on, key, operation);
      } catch (error) {
        // Left over from an operation that the module did not finish; a new session is clean.
        if (!isReturnValue(error, pkcs11.CKR_OPERATION_ACTIVE)) throw error;
        this.#renewSession(state);
        octets = performOperation(this.#tokenSession(state), key, operation);
      }
      return { kind: 'done', id, octets };
    } catch (error) {
      return { kind: 'failed', id, failure: this.#operationFailure(error, operation) };
    }
  }

  #tokenSession(state: { module: pkcs11.PKCS11; session: Buffer; shared: Shared }): TokenSession {
    const { module, session, shared } = state;
    return {
      module,
      session,
      mechanisms: new Set(shared.mechanisms),
      authenticate() {
        try {
          module.C_Login(session, pkcs11.CKU_CONTEXT_SPECIFIC, shared.pin);
        } catch (error) {
          throw new FailureError(
            loginFailure(module, { slot: Buffer.from(shared.slot), label: shared.label }, error),
          );
        }
      },
    };
  }

  /** The new one first: a token logs out when its last session is closed. */
  #renewSession(state: { module: pkcs11.PKCS11; session: Buffer; shared: Shared }): void {
    const old = state.session;
    state.session = state.module.C_OpenSession(Buffer.from(state.shared.slot), pkcs11.CKF_SERIAL_SESSION);
    state.module.C_CloseSession(old);
  }

  #operationFailure(error: unknown, operation: Operation): Failure {
    if (error instanceof FailureError) return error.failure;
    return operationFailure(error, operation.kind !== 'sign', () => this.#sessionAlive());
  }

  #sessionAlive(): boolean {
    const state = this.#state;
    if (state === null) return false;
    try {
      const info = state.module.C_GetSessionInfo(state.session);
      return info.state === CKS_RO_USER_FUNCTIONS;
    } catch {
      // Whatever it says: a session that cannot be asked is not alive.
      return false;
    }
  }

  #finalize(): void {
    const state = this.#state;
    this.#state = null;
    if (state === null) return;
    try {
      state.module.C_Logout(state.session);
      state.module.C_Finalize();
    } catch {
      // The process ends next, and with it everything it holds of the token.
    }
  }
}

/** A read-only session of a user who is logged in (PKCS#11 v2.40, CK_STATE). */
const CKS_RO_USER_FUNCTIONS = 1;

function notOpen(reason: string): Failure {
  return unavailable('The key is not available at the moment; try again in a minute.', reason, true);
}

function openFailure(error: unknown): Failure {
  if (error instanceof FailureError) return error.failure;
  const reason = error instanceof Error ? error.message : String(error);
  return {
    ...refused(reason),
    code: 'key.unavailable',
    duration: 'temporary',
    sessionLost: true,
    publicText: 'The token does not answer as it should; look at the module’s own log.',
  };
}

if (!isMainThread && workerData === KEY_THREAD && parentPort !== null) {
  const port = parentPort;
  const thread = new KeyThread((message) => port.postMessage(message));
  port.on('message', (message: ToThread) => thread.receive(message));
}

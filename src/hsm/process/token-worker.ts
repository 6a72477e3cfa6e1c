import pkcs11 from 'pkcs11js';
import { FailureError } from '../failures.ts';
import type { KeyHandle } from './key-handle.ts';
import type { SessionWorker, TokenWork, Work } from './session-messages.ts';
import { TokenOperator } from './token-operator.ts';
import { loadModule, loginFailure } from './token-slot.ts';

/**
 * A session thread's work with a token. The same library in the same process is initialised and logged in already: all sessions of
 * an application share the login (PKCS#11 v2.40, session management).
 *
 * @throws FailureError, and what pkcs11js throws when the token allows no further session
 */
export function beginTokenWork(first: Work): SessionWorker {
  const work = ofToken(first);
  const module = loadModule(work.module);
  const slot = Buffer.from(work.slot);
  const session =
    work.session === null ? module.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION) : Buffer.from(work.session);
  // One map for the operator's whole life: its content changes when the token is read again.
  const handles = new Map<string, KeyHandle>(work.handles);
  const pin = work.pin === null ? undefined : Buffer.from(work.pin).toString('utf8');
  const operator = new TokenOperator({
    module,
    session,
    handles,
    removable: work.removable,
    authenticate(on) {
      try {
        module.C_Login(on, pkcs11.CKU_CONTEXT_SPECIFIC, pin);
      } catch (error) {
        throw new FailureError(loginFailure(module, { slot, label: work.label }, error));
      }
    },
  });
  return {
    perform: (operation) => operator.perform(operation),
    renew(next) {
      handles.clear();
      for (const [key, handle] of ofToken(next).handles) handles.set(key, handle);
    },
  };
}

function ofToken(work: Work): TokenWork {
  if (work.kind !== 'token') throw new TypeError('work for keys from files');
  return work;
}

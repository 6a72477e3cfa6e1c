import pkcs11 from 'pkcs11js';
import { decryptFailed, refused, unavailable } from '../failures.ts';
import type { Failure } from '../messages.ts';

/**
 * Return values of a PKCS#11 module (PKCS#11 v2.40, CK_RV) as failures that mean something to the gateway.
 * The module's own words (the CKR name) go to the log, never to a mail user.
 */

export type ReturnValue = { code: number; name: string };

/** null: not an answer of the module but a defect or a misuse of the binding. */
export function returnValueOf(error: unknown): ReturnValue | null {
  if (!(error instanceof pkcs11.Pkcs11Error)) return null;
  return { code: error.code, name: /CKR_[A-Z0-9_]+/.exec(error.message)?.[0] ?? `CKR ${error.code}` };
}

/** Values after which the session has to be looked at: the token may be gone, reset or logged out. */
const AWAY: ReadonlySet<number> = new Set([
  pkcs11.CKR_DEVICE_ERROR,
  pkcs11.CKR_DEVICE_MEMORY,
  pkcs11.CKR_DEVICE_REMOVED,
  pkcs11.CKR_TOKEN_NOT_PRESENT,
  pkcs11.CKR_TOKEN_NOT_RECOGNIZED,
  pkcs11.CKR_SESSION_CLOSED,
  pkcs11.CKR_SESSION_HANDLE_INVALID,
  pkcs11.CKR_SLOT_ID_INVALID,
  pkcs11.CKR_USER_NOT_LOGGED_IN,
  pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED,
  pkcs11.CKR_KEY_HANDLE_INVALID,
  pkcs11.CKR_OBJECT_HANDLE_INVALID,
  pkcs11.CKR_HOST_MEMORY,
]);

/** The module cannot do this with this key, and will not be able to later. */
const REFUSED: ReadonlySet<number> = new Set([
  pkcs11.CKR_MECHANISM_INVALID,
  pkcs11.CKR_MECHANISM_PARAM_INVALID,
  pkcs11.CKR_ARGUMENTS_BAD,
  pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED,
  pkcs11.CKR_KEY_TYPE_INCONSISTENT,
  pkcs11.CKR_KEY_SIZE_RANGE,
  pkcs11.CKR_FUNCTION_NOT_SUPPORTED,
  pkcs11.CKR_TEMPLATE_INCONSISTENT,
]);

/** The module does not take this mechanism with these parameters; another way may be open. */
export function isRefusal(error: unknown): boolean {
  const value = returnValueOf(error);
  return value !== null && REFUSED.has(value.code);
}

export function isReturnValue(error: unknown, code: number): boolean {
  return returnValueOf(error)?.code === code;
}

/**
 * What a failed sign, decrypt or agree means.
 *
 * @param attackable the input comes out of a stranger's mail: an unknown error is then the mail's fault, so that
 *   nobody can make keys look unavailable by sending nonsense
 * @param sessionAlive asks the token whether the session still stands; called only where the error leaves it open
 */
export function operationFailure(error: unknown, attackable: boolean, sessionAlive: () => boolean): Failure {
  const value = returnValueOf(error);
  const reason = value?.name ?? (error instanceof Error ? error.message : String(error));
  if (value !== null && REFUSED.has(value.code)) return refused(reason);
  const away = value !== null && AWAY.has(value.code);
  if (attackable && value !== null && !away) return decryptFailed(reason);
  return unavailable(
    'The key is not available at the moment; try again in a minute.',
    reason,
    !sessionAlive(),
  );
}

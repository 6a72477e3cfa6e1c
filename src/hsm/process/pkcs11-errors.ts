import pkcs11 from 'pkcs11js';
import { decryptFailed, refused, unavailable } from '../failures.ts';
import type { Failure } from '../messages.ts';
import { CKR_OPERATION_CANCEL_FAILED, CKR_TOKEN_RESOURCE_EXCEEDED } from './pkcs11-numbers.ts';

/**
 * Return values of a PKCS#11 module (PKCS#11 v2.40, CK_RV) as failures that mean something to the gateway.
 * The module's own words (the CKR name) go to the log, never to a mail user.
 */

export type ReturnValue = { code: number; name: string };

/** null: not an answer of the module but a defect or a misuse of the binding. */
export function returnValueOf(error: unknown): ReturnValue | null {
  if (error instanceof pkcs11.Pkcs11Error) {
    return { code: error.code, name: /CKR_[A-Z0-9_]+/.exec(error.message)?.[0] ?? `CKR ${error.code}` };
  }
  // pkcs11js leaves the errors of some calls as they come (C_CreateObject, C_FindObjects).
  const [, name, code] =
    (error instanceof Error ? /^(CKR_[A-Z0-9_]+):(\d+)/.exec(error.message) : null) ?? [];
  return name === undefined ? null : { code: Number(code), name };
}

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

/** The module's own word, for the log. */
export function reasonOf(error: unknown): string {
  return returnValueOf(error)?.name ?? (error instanceof Error ? error.message : String(error));
}

export function isReturnValue(error: unknown, code: number): boolean {
  return returnValueOf(error)?.code === code;
}

/** The token, the session or the key is not there any more, whatever else is said: only a new opening helps. */
const GONE: ReadonlySet<number> = new Set([
  pkcs11.CKR_DEVICE_REMOVED,
  pkcs11.CKR_TOKEN_NOT_PRESENT,
  pkcs11.CKR_TOKEN_NOT_RECOGNIZED,
  pkcs11.CKR_SESSION_CLOSED,
  pkcs11.CKR_SESSION_HANDLE_INVALID,
  pkcs11.CKR_SLOT_ID_INVALID,
  pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED,
  pkcs11.CKR_KEY_HANDLE_INVALID,
  pkcs11.CKR_OBJECT_HANDLE_INVALID,
  pkcs11.CKR_UNWRAPPING_KEY_HANDLE_INVALID,
  pkcs11.CKR_LIBRARY_LOAD_FAILED,
  pkcs11.CKR_FIPS_SELF_TEST_FAILED,
]);

/** Nothing that octets of a message could bring about; it passes, or the session has been lost. */
const FOR_NOW: ReadonlySet<number> = new Set([
  pkcs11.CKR_USER_NOT_LOGGED_IN,
  pkcs11.CKR_HOST_MEMORY,
  pkcs11.CKR_DEVICE_MEMORY,
  pkcs11.CKR_SESSION_COUNT,
  pkcs11.CKR_OPERATION_ACTIVE,
  pkcs11.CKR_OPERATION_NOT_INITIALIZED,
  pkcs11.CKR_CANCEL,
  pkcs11.CKR_FUNCTION_CANCELED,
  CKR_TOKEN_RESOURCE_EXCEEDED,
  CKR_OPERATION_CANCEL_FAILED,
]);

/** From a reader with keys of its own, or a token that asks a person: the PIN was not right, or may not be used any more. */
const OF_THE_PIN: ReadonlySet<number> = new Set([
  pkcs11.CKR_PIN_INCORRECT,
  pkcs11.CKR_PIN_INVALID,
  pkcs11.CKR_PIN_LEN_RANGE,
  pkcs11.CKR_PIN_EXPIRED,
  pkcs11.CKR_USER_PIN_NOT_INITIALIZED,
]);

/** The module cannot do this with this key, and will not be able to later. */
const NOT_DONE: ReadonlySet<number> = new Set([
  ...REFUSED,
  pkcs11.CKR_KEY_SIZE_RANGE,
  pkcs11.CKR_KEY_UNEXTRACTABLE,
  pkcs11.CKR_TEMPLATE_INCOMPLETE,
  pkcs11.CKR_ATTRIBUTE_TYPE_INVALID,
  pkcs11.CKR_ATTRIBUTE_VALUE_INVALID,
  pkcs11.CKR_ATTRIBUTE_READ_ONLY,
  pkcs11.CKR_ATTRIBUTE_SENSITIVE,
  pkcs11.CKR_INFORMATION_SENSITIVE,
  pkcs11.CKR_UNWRAPPING_KEY_SIZE_RANGE,
  pkcs11.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
  pkcs11.CKR_TOKEN_WRITE_PROTECTED,
  pkcs11.CKR_SESSION_READ_ONLY,
]);

/** Said of the input, and of nothing else. */
const BAD_OCTETS: ReadonlySet<number> = new Set([
  pkcs11.CKR_ENCRYPTED_DATA_INVALID,
  pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE,
  pkcs11.CKR_DATA_INVALID,
  pkcs11.CKR_DATA_LEN_RANGE,
  pkcs11.CKR_WRAPPED_KEY_INVALID,
  pkcs11.CKR_WRAPPED_KEY_LEN_RANGE,
  pkcs11.CKR_PUBLIC_KEY_INVALID,
  pkcs11.CKR_DOMAIN_PARAMS_INVALID,
]);

/** How far a use of a key had come when it failed. */
export type FailedUse = {
  /** The input comes out of a stranger's mail. */
  attackable: boolean;
  /** The token was looking into these octets: taking a padding off. */
  judging: boolean;
  /** Asks the token whether the session still stands; called only where the error leaves it open. */
  sessionAlive(): boolean;
};

/**
 * What a failed use of a key on a token means.
 *
 * Must never happen: a stranger's octets make a key look away or unfit, or are told from others by a kind of failure of their
 * own. So while the token judges them, everything that does not certainly come from elsewhere is one and the same
 * failure (some modules answer a wrong padding with CKR_DEVICE_ERROR or CKR_ARGUMENTS_BAD).
 */
export function failureOfUse(error: unknown, use: FailedUse): Failure {
  const value = returnValueOf(error);
  const reason = reasonOf(error);
  if (value === null) return away(reason, !use.sessionAlive());
  if (GONE.has(value.code)) return away(reason, true);
  if (FOR_NOW.has(value.code)) return away(reason, !use.sessionAlive());
  if (value.code === pkcs11.CKR_PIN_LOCKED) return pinFailure('key.pin-locked', PIN_LOCKED, reason);
  if (OF_THE_PIN.has(value.code)) return pinFailure('key.pin-incorrect', PIN_REFUSED, reason);
  if (value.code === pkcs11.CKR_FUNCTION_REJECTED) return unavailable(NOT_CONFIRMED, reason, false);
  if (use.attackable && BAD_OCTETS.has(value.code)) return decryptFailed(reason);
  if (use.judging) return use.sessionAlive() ? decryptFailed(reason) : away(reason, true);
  if (NOT_DONE.has(value.code)) return refused(reason);
  return away(reason, !use.sessionAlive());
}

const PIN_LOCKED =
  'The PIN of the token is blocked. Unblock it with “sealgate card pin unblock” and the PUK or the security officer’s PIN.';
const PIN_REFUSED =
  'The token did not accept the PIN for this use of the key; enter the right one next time.';
const NOT_CONFIRMED = 'The use of the key was not confirmed at the token; try again and confirm it there.';

function pinFailure(
  code: 'key.pin-locked' | 'key.pin-incorrect',
  publicText: string,
  reason: string,
): Failure {
  return { code, publicText, duration: 'permanent', reason, sessionLost: false };
}

function away(reason: string, sessionLost: boolean): Failure {
  return unavailable('The key is not available at the moment; try again in a minute.', reason, sessionLost);
}

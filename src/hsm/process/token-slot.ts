import pkcs11 from 'pkcs11js';
import { unreachable } from '../../errors.ts';
import { FailureError, unavailable } from '../failures.ts';
import type { Inventory } from '../inventory.ts';
import type { Failure } from '../messages.ts';
import type { TokenSelector } from '../source-kinds.ts';
import { isReturnValue, returnValueOf } from './pkcs11-errors.ts';
import { absentToken, ambiguousToken, type ExpectedCard, quoted } from './token-words.ts';

/**
 * Loading a module, finding the token and logging in (PKCS#11 v2.40, slot, token and session management).
 *
 * Must never happen: a PIN is sent to a token that is not the one named, is sent twice after a refusal, or is
 * sent unproven when one try is left.
 */

export type TokenDescription = NonNullable<Inventory['token']>;
export type PinState = TokenDescription['pin'];

export type FoundToken = {
  slot: Buffer;
  description: TokenDescription;
  loginRequired: boolean;
  /** CKF_PROTECTED_AUTHENTICATION_PATH: the PIN is typed on the reader's own keys. */
  pinPad: boolean;
};

/** @throws FailureError `key.module-unreadable` */
export function loadModule(path: string): pkcs11.PKCS11 {
  const module = new pkcs11.PKCS11();
  try {
    module.load(path);
  } catch (error) {
    throw new FailureError({
      code: 'key.module-unreadable',
      publicText: `The PKCS#11 module ${path} cannot be loaded; check the path, its permissions and that it is a PKCS#11 library for this system.`,
      duration: 'permanent',
      reason: error instanceof Error ? error.message : String(error),
      sessionLost: true,
    });
  }
  return module;
}

/**
 * C_Initialize once per process.
 *
 * @param initArgs what the module takes from here and from nowhere else; null: nothing
 * @returns whether several threads may use the module at the same time
 * @throws FailureError `key.unavailable`
 */
export function initialize(module: pkcs11.PKCS11, initArgs: string | null): boolean {
  // The binding passes all but the last octet.
  const parameters = initArgs === null ? {} : { libraryParameters: `${initArgs} ` };
  try {
    module.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK, ...parameters });
    return true;
  } catch (error) {
    if (!isReturnValue(error, pkcs11.CKR_CANT_LOCK)) throw moduleFailure(error);
  }
  try {
    module.C_Initialize({ flags: 0, ...parameters });
    return false;
  } catch (error) {
    throw moduleFailure(error);
  }
}

function moduleFailure(error: unknown): FailureError {
  return new FailureError(
    unavailable(
      'The PKCS#11 module does not start; look at the module’s own configuration and at the service it needs.',
      reasonOf(error),
      true,
    ),
  );
}

/** Every initialised token that is there; a reader that does not answer hides none of the others. @throws FailureError `key.unavailable` */
export function listTokens(module: pkcs11.PKCS11): FoundToken[] {
  return slotsWithTokens(module).flatMap((slot) => describeToken(module, slot) ?? []);
}

/**
 * The one token that is meant.
 *
 * @throws FailureError `key.token-absent`, `key.token-ambiguous`, `key.unavailable`
 */
export function findToken(module: pkcs11.PKCS11, selector: TokenSelector): FoundToken {
  return meantToken(listTokens(module), selector, null);
}

/**
 * The one of several tokens that is meant.
 *
 * @param card null: no card
 * @throws FailureError `key.token-absent`, `key.token-ambiguous`
 */
export function meantToken(
  present: readonly FoundToken[],
  selector: TokenSelector,
  card: ExpectedCard | null,
): FoundToken {
  const found = present.filter(({ description }) => isMeant(description, selector));
  const [only, second] = found;
  if (only === undefined) {
    throw new FailureError({
      code: 'key.token-absent',
      publicText: absentToken(
        selector,
        present.map(({ description }) => description),
        card,
      ),
      duration: 'temporary',
      reason: 'token not found',
      sessionLost: true,
    });
  }
  if (second !== undefined) {
    throw new FailureError({
      code: 'key.token-ambiguous',
      publicText: ambiguousToken(
        selector,
        found.map(({ description }) => description),
      ),
      duration: 'permanent',
      reason: 'several tokens match',
      sessionLost: true,
    });
  }
  return only;
}

/** Whether every member of the selector that is not null fits. Compared exactly. */
export function isMeant(token: TokenDescription, selector: TokenSelector): boolean {
  const { label, serial, model, manufacturer, reader } = selector;
  return (
    (label === null || label === token.label) &&
    (serial === null || serial === token.serial) &&
    (model === null || model === token.model) &&
    (manufacturer === null || manufacturer === token.manufacturer) &&
    (reader === null || reader === token.reader)
  );
}

/** Of all slots, with a token in it. The number of slots, that of readers, may change at any call. */
export function slotsWithTokens(module: pkcs11.PKCS11): Buffer[] {
  try {
    return module.C_GetSlotList(true);
  } catch (error) {
    throw moduleFailure(error);
  }
}

/** null: the reader or its token does not answer, or nobody has initialised it yet. */
export function describeToken(module: pkcs11.PKCS11, slot: Buffer): FoundToken | null {
  const info = tokenInfo(module, slot);
  if (info === null || (info.flags & pkcs11.CKF_TOKEN_INITIALIZED) === 0) return null;
  return {
    slot,
    description: {
      label: unpadded(info.label),
      serial: unpadded(info.serialNumber),
      model: unpadded(info.model),
      manufacturer: unpadded(info.manufacturerID),
      reader: readerName(module, slot),
      pin: pinState(info.flags),
    },
    loginRequired: (info.flags & pkcs11.CKF_LOGIN_REQUIRED) !== 0,
    pinPad: (info.flags & pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH) !== 0,
  };
}

function readerName(module: pkcs11.PKCS11, slot: Buffer): string {
  try {
    return unpadded(module.C_GetSlotInfo(slot).slotDescription);
  } catch (error) {
    if (returnValueOf(error) === null) throw error;
    return '';
  }
}

function tokenInfo(module: pkcs11.PKCS11, slot: Buffer): pkcs11.TokenInfo | null {
  try {
    return module.C_GetTokenInfo(slot);
  } catch (error) {
    if (returnValueOf(error) === null) throw error;
    return null;
  }
}

/** PKCS#11 has no counter of tries; flags are all a token tells (CK_TOKEN_INFO). */
function pinState(flags: number): PinState {
  if ((flags & pkcs11.CKF_USER_PIN_LOCKED) !== 0) return 'locked';
  if ((flags & pkcs11.CKF_USER_PIN_FINAL_TRY) !== 0) return 'final-try';
  if ((flags & pkcs11.CKF_USER_PIN_COUNT_LOW) !== 0) return 'count-low';
  if ((flags & pkcs11.CKF_USER_PIN_TO_BE_CHANGED) !== 0) return 'to-be-changed';
  return (flags & pkcs11.CKF_LOGIN_REQUIRED) === 0 ? 'none-needed' : 'fine';
}

/**
 * Logs in as the user, once.
 *
 * @param pin null: the person types it on the reader's own keys
 * @param lastTryToo the PIN was accepted by this very token before, or a person has typed it just now knowing that it is the last try
 * @throws FailureError `key.pin-incorrect`, `key.pin-locked`, `key.pin-last-try`; `key.unavailable`: temporary where the PIN was
 *   certainly not judged, permanent where nobody knows whether it cost a try
 */
export function login(
  module: pkcs11.PKCS11,
  session: Buffer,
  token: FoundToken,
  pin: string | null,
  lastTryToo: boolean,
): void {
  const { label } = token.description;
  const before = pinStateOf(module, token.slot) ?? token.description.pin;
  if (before === 'locked') throw new FailureError(pinLocked(label));
  if (before === 'final-try' && !lastTryToo) throw new FailureError(lastTry(label));
  try {
    module.C_Login(session, pkcs11.CKU_USER, pin ?? undefined);
  } catch (error) {
    if (isReturnValue(error, pkcs11.CKR_USER_ALREADY_LOGGED_IN)) return;
    throw new FailureError(loginFailure(module, { slot: token.slot, label, before }, error));
  }
}

/** Whether `login` failed before anything was sent: the flags of the token were enough. */
export function wasNotSent({ reason }: Failure): boolean {
  return reason === LOCKED_FLAG || reason === FINAL_TRY_FLAG;
}

const LOCKED_FLAG = 'CKF_USER_PIN_LOCKED';
const FINAL_TRY_FLAG = 'CKF_USER_PIN_FINAL_TRY';

/** Answers to C_Login that say nothing about the PIN: it has not been looked at. */
const NOT_JUDGED: ReadonlySet<number> = new Set([
  pkcs11.CKR_DEVICE_REMOVED,
  pkcs11.CKR_DEVICE_ERROR,
  pkcs11.CKR_DEVICE_MEMORY,
  pkcs11.CKR_HOST_MEMORY,
  pkcs11.CKR_TOKEN_NOT_PRESENT,
  pkcs11.CKR_TOKEN_NOT_RECOGNIZED,
  pkcs11.CKR_SLOT_ID_INVALID,
  pkcs11.CKR_SESSION_HANDLE_INVALID,
  pkcs11.CKR_SESSION_CLOSED,
  pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED,
  pkcs11.CKR_OPERATION_ACTIVE,
  pkcs11.CKR_OPERATION_NOT_INITIALIZED,
  pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
  pkcs11.CKR_USER_TOO_MANY_TYPES,
  pkcs11.CKR_FUNCTION_CANCELED,
]);

/** States in which a try is known to have been used up. */
const WORN: readonly (PinState | null)[] = ['count-low', 'final-try', 'locked'];

/**
 * What a refused C_Login means, with what the token tells about the tries that are left.
 *
 * @param token `before`: how the PIN stood before; where it stands worse now, the PIN was judged, whatever the answer says
 */
export function loginFailure(
  module: pkcs11.PKCS11,
  token: { slot: Buffer; label: string; before?: PinState },
  error: unknown,
): Failure {
  const name = quoted(token.label);
  const value = returnValueOf(error);
  const after = pinStateOf(module, token.slot);
  const worse = token.before !== undefined && after !== token.before && WORN.includes(after);
  if (value?.code === pkcs11.CKR_PIN_LOCKED) return { ...pinLocked(token.label), reason: value.name };
  if (worse || (value !== null && PIN_REFUSED.has(value.code))) {
    return {
      code: 'key.pin-incorrect',
      publicText: `The token ${name} refused the PIN${triesLeft(after)}${after === 'locked' ? `. ${UNBLOCK}` : '; correct it. It is not tried again by itself.'}`,
      duration: 'permanent',
      reason: reasonOf(error),
      sessionLost: true,
    };
  }
  if (value !== null && NOT_JUDGED.has(value.code)) {
    return unavailable(`The token ${name} does not let the gateway log in.`, value.name, true);
  }
  return {
    code: 'key.unavailable',
    publicText: `The token ${name} does not let the gateway log in, and does not say whether the PIN is right; it is not sent again by itself. Check the module and the PIN (for example with pkcs11-tool --login).`,
    duration: 'permanent',
    reason: reasonOf(error),
    sessionLost: true,
  };
}

const PIN_REFUSED: ReadonlySet<number> = new Set([
  pkcs11.CKR_PIN_INCORRECT,
  pkcs11.CKR_PIN_INVALID,
  pkcs11.CKR_PIN_LEN_RANGE,
  pkcs11.CKR_PIN_EXPIRED,
]);

function pinStateOf(module: pkcs11.PKCS11, slot: Buffer): PinState | null {
  const info = tokenInfo(module, slot);
  return info === null ? null : pinState(info.flags);
}

function lastTry(label: string): Failure {
  return {
    code: 'key.pin-last-try',
    publicText: `The token ${quoted(label)} has one PIN try left, which is not used up automatically. Who is sure of the PIN uses it once with “sealgate card pin change --use-last-try” (the old PIN as the new one is enough); else unblock it with the PUK.`,
    duration: 'permanent',
    reason: FINAL_TRY_FLAG,
    sessionLost: true,
  };
}

/** What to do about a blocked PIN. */
export const UNBLOCK =
  'Unblock it with “sealgate card pin unblock” and the PUK or the security officer’s PIN.';

export function pinLocked(label: string): Failure {
  return {
    code: 'key.pin-locked',
    publicText: `The PIN of the token ${quoted(label)} is blocked. ${UNBLOCK}`,
    duration: 'permanent',
    reason: LOCKED_FLAG,
    sessionLost: true,
  };
}

function triesLeft(state: PinState | null): string {
  switch (state) {
    case 'locked':
      return ', and it is blocked now';
    case 'final-try':
      return ', and one try is left';
    case 'count-low':
      return ', and few tries are left';
    case 'fine':
    case 'to-be-changed':
    case 'none-needed':
    case null:
      return ' and does not say how many tries are left';
    default:
      return unreachable(state);
  }
}

/** Token strings are padded with blanks (CK_TOKEN_INFO); some tokens pad with NUL. */
export function unpadded(text: string): string {
  const end = text.indexOf('\0');
  return (end < 0 ? text : text.slice(0, end)).trimEnd();
}

/** The module's own word, for the log. */
export function reasonOf(error: unknown): string {
  return returnValueOf(error)?.name ?? (error instanceof Error ? error.message : String(error));
}

import pkcs11 from 'pkcs11js';
import { FailureError, unavailable } from '../failures.ts';
import type { Failure, Open, TokenSelector } from '../token-messages.ts';
import { isReturnValue, returnValueOf } from './pkcs11-errors.ts';

/**
 * Loading a module, finding the token and logging in (PKCS#11 v2.40, slot, token and session management).
 *
 * Must never happen: a PIN is sent to a token that is not the one named, is sent twice after a refusal, or is
 * sent unproven when one try is left.
 */

export type FoundToken = { slot: Buffer; label: string; serial: string; loginRequired: boolean };

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
 * @returns whether several threads may use the module at the same time
 * @throws FailureError `key.unavailable`
 */
export function initialize(module: pkcs11.PKCS11): boolean {
  try {
    module.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK });
    return true;
  } catch (error) {
    if (!isReturnValue(error, pkcs11.CKR_CANT_LOCK)) throw moduleFailure(error);
  }
  try {
    module.C_Initialize();
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

/** @throws FailureError `key.token-absent`, `key.token-ambiguous`, `key.unavailable` */
export function findToken(module: pkcs11.PKCS11, selector: TokenSelector): FoundToken {
  const found: FoundToken[] = [];
  const present: string[] = [];
  for (const slot of listSlots(module)) {
    const info = tokenInfo(module, slot);
    if (info === null || (info.flags & pkcs11.CKF_TOKEN_INITIALIZED) === 0) continue;
    const label = unpadded(info.label);
    const serial = unpadded(info.serialNumber);
    present.push(`“${printable(label)}” (serial ${printable(serial)})`);
    if (selector.by === 'label' ? label === selector.label : serial === selector.serial) {
      const loginRequired = (info.flags & pkcs11.CKF_LOGIN_REQUIRED) !== 0;
      found.push({ slot, label, serial, loginRequired });
    }
  }
  const [only, second] = found;
  const wanted = selector.by === 'label' ? `label “${selector.label}”` : `serial ${selector.serial}`;
  if (only === undefined) {
    throw new FailureError({
      code: 'key.token-absent',
      publicText: `No token with ${wanted} is present; ${present.length === 0 ? 'none is, so check that it is plugged in or its service runs' : `present are: ${present.join(', ')}`}.`,
      duration: 'temporary',
      reason: 'token not found',
      sessionLost: true,
    });
  }
  if (second !== undefined) {
    throw new FailureError({
      code: 'key.token-ambiguous',
      publicText: `${found.length} tokens have the ${wanted}; name the one to use by its serial number: ${found.map((token) => printable(token.serial)).join(', ')}.`,
      duration: 'permanent',
      reason: 'several tokens match',
      sessionLost: true,
    });
  }
  return only;
}

function listSlots(module: pkcs11.PKCS11): Buffer[] {
  try {
    return module.C_GetSlotList(true);
  } catch (error) {
    throw moduleFailure(error);
  }
}

/** null: the reader or its token does not answer; the others may. */
function tokenInfo(module: pkcs11.PKCS11, slot: Buffer): pkcs11.TokenInfo | null {
  try {
    return module.C_GetTokenInfo(slot);
  } catch (error) {
    if (returnValueOf(error) === null) throw error;
    return null;
  }
}

/**
 * Logs in as the user, once.
 *
 * @param attempted is called immediately before the PIN leaves
 * @throws FailureError `key.pin-incorrect`, `key.pin-locked`, `key.pin-last-try`, `key.unavailable`
 */
export function login(
  module: pkcs11.PKCS11,
  session: Buffer,
  token: FoundToken,
  open: Open,
  attempted: () => void,
): void {
  if (!token.loginRequired) return;
  const { flags } = module.C_GetTokenInfo(token.slot);
  const name = `“${printable(token.label)}”`;
  if ((flags & pkcs11.CKF_USER_PIN_LOCKED) !== 0) throw new FailureError(pinLocked(name));
  if ((flags & pkcs11.CKF_USER_PIN_FINAL_TRY) !== 0 && !open.pinProven) {
    throw new FailureError({
      code: 'key.pin-last-try',
      publicText: `The token ${name} has one PIN try left, which is not used up automatically; log in once by hand with the right PIN (for example pkcs11-tool --login --list-objects), then start again.`,
      duration: 'permanent',
      reason: 'CKF_USER_PIN_FINAL_TRY',
      sessionLost: true,
    });
  }
  try {
    attempted();
    module.C_Login(session, pkcs11.CKU_USER, open.pin);
  } catch (error) {
    if (isReturnValue(error, pkcs11.CKR_USER_ALREADY_LOGGED_IN)) return;
    throw new FailureError(loginFailure(module, token, error));
  }
}

/** What a refused C_Login means, with what the token tells about the tries that are left. */
export function loginFailure(
  module: pkcs11.PKCS11,
  token: Pick<FoundToken, 'slot' | 'label'>,
  error: unknown,
): Failure {
  const name = `“${printable(token.label)}”`;
  const value = returnValueOf(error);
  switch (value?.code) {
    case pkcs11.CKR_PIN_LOCKED:
      return pinLocked(name);
    case pkcs11.CKR_PIN_INCORRECT:
    case pkcs11.CKR_PIN_INVALID:
    case pkcs11.CKR_PIN_LEN_RANGE:
    case pkcs11.CKR_PIN_EXPIRED:
      return {
        code: 'key.pin-incorrect',
        publicText: `The token ${name} refused the PIN${triesLeft(module, token.slot)}; correct the PIN and start again. It is not tried again by itself.`,
        duration: 'permanent',
        reason: value.name,
        sessionLost: true,
      };
    default:
      return unavailable(`The token ${name} does not let the gateway log in.`, reasonOf(error), true);
  }
}

function pinLocked(name: string): Failure {
  return {
    code: 'key.pin-locked',
    publicText: `The PIN of the token ${name} is locked; unlock it with the security officer’s PIN or PUK.`,
    duration: 'permanent',
    reason: 'CKF_USER_PIN_LOCKED',
    sessionLost: true,
  };
}

/** PKCS#11 has no counter; three flags are all a token tells (CK_TOKEN_INFO). */
function triesLeft(module: pkcs11.PKCS11, slot: Buffer): string {
  const info = tokenInfo(module, slot);
  if (info === null) return '';
  if ((info.flags & pkcs11.CKF_USER_PIN_LOCKED) !== 0) return ', and it is locked now';
  if ((info.flags & pkcs11.CKF_USER_PIN_FINAL_TRY) !== 0) return ', and one try is left';
  if ((info.flags & pkcs11.CKF_USER_PIN_COUNT_LOW) !== 0) return ', and few tries are left';
  return '';
}

/** Token strings are padded with blanks (CK_TOKEN_INFO); some tokens pad with NUL. */
function unpadded(text: string): string {
  const end = text.indexOf('\0');
  return (end < 0 ? text : text.slice(0, end)).trimEnd();
}

/** A token's own words in a sentence for people: no control characters, bounded. */
function printable(text: string): string {
  return text.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '?').slice(0, 64);
}

function reasonOf(error: unknown): string {
  return returnValueOf(error)?.name ?? (error instanceof Error ? error.message : String(error));
}

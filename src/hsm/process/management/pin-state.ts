import pkcs11 from 'pkcs11js';
import type { PinState } from '../../management-messages.ts';
import type { PinTries } from '../../pin/pin-prompt.ts';

/** What a token tells about PINs: flags of CK_TOKEN_INFO (PKCS#11 v2.40). It has no counter of tries. */

/** @param flags of CK_TOKEN_INFO */
export function userPinState(flags: number): PinState {
  const has = (flag: number): boolean => (flags & flag) !== 0;
  if (!has(pkcs11.CKF_TOKEN_INITIALIZED)) return 'not-set';
  if (!has(pkcs11.CKF_LOGIN_REQUIRED)) return 'none-needed';
  if (has(pkcs11.CKF_USER_PIN_LOCKED)) return 'locked';
  if (!has(pkcs11.CKF_USER_PIN_INITIALIZED)) return 'not-set';
  if (has(pkcs11.CKF_USER_PIN_FINAL_TRY)) return 'final-try';
  if (has(pkcs11.CKF_USER_PIN_COUNT_LOW)) return 'count-low';
  return has(pkcs11.CKF_USER_PIN_TO_BE_CHANGED) ? 'to-be-changed' : 'fine';
}

/** @param flags of CK_TOKEN_INFO */
export function officerPinState(flags: number): PinState {
  const has = (flag: number): boolean => (flags & flag) !== 0;
  // SoftHSM says of a blank token that its PIN is locked.
  if (!has(pkcs11.CKF_TOKEN_INITIALIZED)) return 'not-set';
  if (has(pkcs11.CKF_SO_PIN_LOCKED)) return 'locked';
  if (has(pkcs11.CKF_SO_PIN_FINAL_TRY)) return 'final-try';
  if (has(pkcs11.CKF_SO_PIN_COUNT_LOW)) return 'count-low';
  return has(pkcs11.CKF_SO_PIN_TO_BE_CHANGED) ? 'to-be-changed' : 'fine';
}

/** For a prompt, which knows no token without a PIN. */
export function asTries(state: PinState): PinTries {
  return state === 'not-set' ? 'fine' : state;
}

/** What is left, as the end of a sentence; empty where the token tells nothing. */
export function triesLeft(state: PinState): string {
  switch (state) {
    case 'locked':
      return ', and it is blocked now';
    case 'final-try':
      return ', and one try is left';
    case 'count-low':
      return ', and few tries are left';
    case 'not-set':
    case 'none-needed':
    case 'fine':
    case 'to-be-changed':
      return '';
  }
}

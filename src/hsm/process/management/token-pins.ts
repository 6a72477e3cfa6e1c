import pkcs11 from 'pkcs11js';
import { SealgateError } from '../../../errors.ts';
import type { ManagementAnswer, ManagementRequest } from '../../management-messages.ts';
import type { TokenSelector } from '../../source-kinds.ts';
import { isReturnValue, returnValueOf } from '../pkcs11-errors.ts';
import { type ManagedModule, type ManagedSlot, unpadded } from './managed-module.ts';
import type { Person } from './person.ts';
import { newPinPrompt, openSession, promptOf, refusedPin, requireTry } from './token-login.ts';

/** Changing a PIN that is known (C_SetPIN), and setting a new one by the PUK or the security officer (C_InitPIN). */

type ChangeRequest = Extract<ManagementRequest, { kind: 'change-pin' }>;
type UnblockRequest = Extract<ManagementRequest, { kind: 'unblock-pin' }>;

/** @throws SealgateError `key.pin-incorrect`, `key.pin-locked`, `key.pin-last-try`, `key.pin-unfit`, `key.refused` */
export async function changePin(
  module: ManagedModule,
  selector: TokenSelector,
  { login, newPin }: ChangeRequest,
  person: Person,
): Promise<ManagementAnswer> {
  const slot = module.token(selector);
  requireNoPinPad(slot);
  requireTry(slot, 'user', login.useLastTry);
  const pin = await person.secret(login.pin, promptOf(slot, 'change-pin'));
  const fresh = await person.newSecret(newPin, newPinPrompt(slot, 'new-pin'));
  requireFit(slot, fresh);
  person.working('changing the PIN');
  const session = openSession(module, slot);
  try {
    // Logged in first: OpenSC may take C_SetPIN without a login for the PUK's way, and SoftHSM works with both.
    module.pkcs11.C_Login(session, pkcs11.CKU_USER, pin);
  } catch (error) {
    throw refusedPin(slot, 'user', error);
  }
  try {
    module.pkcs11.C_SetPIN(session, pin, fresh);
  } catch (error) {
    // The old one was right: the login has shown it.
    throw unfit(slot, error);
  }
  return { kind: 'change-pin' };
}

/**
 * OpenSC's cards know no security officer; their PUK sets the PIN by C_SetPIN without a login, which OpenSC allows only by its
 * configuration (`user_pin_unblock_style = set_pin_in_unlogged_session`; ours for this process says so).
 *
 * @throws SealgateError `key.pin-incorrect`, `key.pin-locked`, `key.pin-last-try`, `key.pin-unfit`, `key.refused`
 */
export async function unblockPin(
  module: ManagedModule,
  selector: TokenSelector,
  { puk, newPin, useLastTry }: UnblockRequest,
  person: Person,
): Promise<ManagementAnswer> {
  const slot = module.token(selector);
  requireNoPinPad(slot);
  requireTry(slot, 'officer', useLastTry);
  const how = isOpenSc(module) ? 'puk' : 'security-officer';
  const secret = await person.secret(puk, promptOf(slot, 'unblock-pin'));
  const fresh = await person.newSecret(newPin, newPinPrompt(slot, 'new-pin'));
  requireFit(slot, fresh);
  person.working('setting the new PIN');
  const session = openSession(module, slot);
  if (how === 'puk') {
    try {
      module.pkcs11.C_SetPIN(session, secret, fresh);
    } catch (error) {
      throw cannotUnblock(slot, error);
    }
    return { kind: 'unblock-pin', how };
  }
  try {
    module.pkcs11.C_Login(session, pkcs11.CKU_SO, secret);
  } catch (error) {
    throw cannotUnblock(slot, error);
  }
  try {
    module.pkcs11.C_InitPIN(session, fresh);
  } catch (error) {
    throw unfit(slot, error);
  }
  return { kind: 'unblock-pin', how };
}

function isOpenSc(module: ManagedModule): boolean {
  const { libraryDescription, manufacturerID } = module.pkcs11.C_GetInfo();
  return /opensc/i.test(`${unpadded(libraryDescription)} ${unpadded(manufacturerID)}`);
}

function cannotUnblock(slot: ManagedSlot, error: unknown): unknown {
  const unsupported = [
    pkcs11.CKR_FUNCTION_NOT_SUPPORTED,
    pkcs11.CKR_FUNCTION_REJECTED,
    pkcs11.CKR_USER_TYPE_INVALID,
    pkcs11.CKR_USER_PIN_NOT_INITIALIZED,
  ];
  if (!unsupported.some((code) => isReturnValue(error, code))) return refusedPin(slot, 'officer', error);
  return new SealgateError({
    code: 'key.refused',
    duration: 'permanent',
    publicText: `The module does not unblock the PIN of ${slot.nameForPeople()}; use the program of whoever issued the card.`,
    reason: returnValueOf(error)?.name ?? '',
    cause: error,
  });
}

/** A new PIN is measured before the old one costs a try. @throws SealgateError `key.pin-unfit` */
function requireFit(slot: ManagedSlot, pin: string): void {
  const { minPinLen, maxPinLen } = slot.tokenInfo;
  const octets = Buffer.byteLength(pin, 'utf8');
  // Some modules tell 0 or CK_UNAVAILABLE_INFORMATION.
  const tooLong = maxPinLen > 0 && maxPinLen < 256 && octets > maxPinLen;
  if (octets < minPinLen || tooLong) throw unfitPin(slot, 'length');
}

function unfit(slot: ManagedSlot, error: unknown): unknown {
  const value = returnValueOf(error);
  const codes = [pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_INCORRECT];
  return value !== null && codes.includes(value.code) ? unfitPin(slot, value.name) : error;
}

function unfitPin(slot: ManagedSlot, reason: string): SealgateError {
  const { minPinLen, maxPinLen } = slot.tokenInfo;
  const length = maxPinLen > 0 && maxPinLen < 256 ? ` (${minPinLen} to ${maxPinLen} characters)` : '';
  return new SealgateError({
    code: 'key.pin-unfit',
    duration: 'permanent',
    publicText: `The token ${slot.nameForPeople()} does not take the new PIN; choose one of the length and the characters that it wants${length}. The PIN is as it was.`,
    reason,
  });
}

function requireNoPinPad(slot: ManagedSlot): void {
  if ((slot.tokenInfo.flags & pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH) === 0) return;
  throw new SealgateError({
    code: 'key.refused',
    duration: 'permanent',
    publicText: `PINs of ${slot.nameForPeople()} are typed on the keys of its reader; change it with the program of whoever issued the card.`,
  });
}

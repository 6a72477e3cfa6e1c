import pkcs11 from 'pkcs11js';
import { SealgateError } from '../../../errors.ts';
import type { PinState } from '../../management-messages.ts';
import type { PinPrompt, PromptToken } from '../../pin/pin-prompt.ts';
import type { PinSource } from '../../source-kinds.ts';
import { isReturnValue, type ReturnValue, returnValueOf } from '../pkcs11-errors.ts';
import { forPeople, type ManagedModule, type ManagedSlot, unpadded } from './managed-module.ts';
import type { Person } from './person.ts';
import { asTries, officerPinState, triesLeft, userPinState } from './pin-state.ts';

/**
 * Logging in to a token for one request.
 *
 * Must never happen: a PIN is sent twice, is sent to a token whose PIN is blocked, or uses up the last try although nobody has
 * said that it may.
 */

export type Login = { pin: PinSource; useLastTry: boolean };
type Role = 'user' | 'officer';

/** A read/write session; closed with the process. */
export function openSession(module: ManagedModule, slot: ManagedSlot): Buffer {
  return module.pkcs11.C_OpenSession(slot.id, pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION);
}

/**
 * @throws SealgateError `key.pin-needed`, `key.pin-incorrect`, `key.pin-locked`, `key.pin-last-try`
 */
export async function logIn(
  module: ManagedModule,
  slot: ManagedSlot,
  session: Buffer,
  login: Login,
  person: Person,
): Promise<void> {
  const { flags } = slot.tokenInfo;
  if ((flags & pkcs11.CKF_LOGIN_REQUIRED) === 0) return;
  if ((flags & pkcs11.CKF_USER_PIN_INITIALIZED) === 0) throw noPin(slot);
  requireTry(slot, 'user', login.useLastTry);
  const pin = await pinFor(slot, login.pin, 'log-in', person);
  person.working('logging in');
  try {
    module.pkcs11.C_Login(session, pkcs11.CKU_USER, pin);
  } catch (error) {
    if (isReturnValue(error, pkcs11.CKR_USER_ALREADY_LOGGED_IN)) return;
    throw refusedPin(slot, 'user', error);
  }
}

/** undefined: it is typed on the reader's own keys (CKF_PROTECTED_AUTHENTICATION_PATH). */
async function pinFor(
  slot: ManagedSlot,
  source: PinSource,
  purpose: 'log-in',
  person: Person,
): Promise<string | undefined> {
  if ((slot.tokenInfo.flags & pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH) !== 0) {
    person.working('type the PIN on the keys of the card reader');
    return undefined;
  }
  return await person.secret(source, promptOf(slot, purpose));
}

export function promptOf(
  slot: ManagedSlot,
  purpose: 'log-in' | 'change-pin' | 'unblock-pin' | 'initialise',
): PinPrompt {
  const { flags } = slot.tokenInfo;
  const officer = purpose === 'unblock-pin' || purpose === 'initialise';
  const tries = asTries(officer ? officerPinState(flags) : userPinState(flags));
  return { purpose, token: promptToken(slot, tries), previousError: null };
}

export function newPinPrompt(slot: ManagedSlot, purpose: 'new-pin' | 'new-officer-pin') {
  return { purpose, again: false, token: promptToken(slot, 'fine'), previousError: null };
}

function promptToken(slot: ManagedSlot, tries: PromptToken['tries']): PromptToken {
  const { label, serialNumber } = slot.tokenInfo;
  return { label: unpadded(label), serial: unpadded(serialNumber), reader: slot.reader, tries };
}

/** Before anybody is asked. @throws SealgateError `key.pin-locked`, `key.pin-last-try` */
export function requireTry(slot: ManagedSlot, role: Role, useLastTry: boolean): void {
  const state = stateOf(slot, role);
  if (state === 'locked') throw locked(slot, role, 'the flags of the token');
  if (state === 'final-try' && !useLastTry) {
    throw new SealgateError({
      code: 'key.pin-last-try',
      duration: 'permanent',
      publicText: `${namedPin(slot, role)} has one try left; a wrong one blocks it. When you are sure of it, say so with --use-last-try.`,
    });
  }
}

/** What a refused C_Login, C_SetPIN or C_InitToken means, and what the token says about the tries that are left. */
export function refusedPin(slot: ManagedSlot, role: Role, error: unknown): unknown {
  const value = returnValueOf(error);
  if (value === null) return error;
  switch (value.code) {
    case pkcs11.CKR_PIN_LOCKED:
      return locked(slot, role, value.name);
    case pkcs11.CKR_PIN_INCORRECT:
    case pkcs11.CKR_PIN_INVALID:
    case pkcs11.CKR_PIN_LEN_RANGE:
    case pkcs11.CKR_PIN_EXPIRED:
      return incorrect(slot, role, value);
    default:
      return error;
  }
}

function incorrect(slot: ManagedSlot, role: Role, value: ReturnValue): SealgateError {
  const state = stateOf(slot, role);
  const why =
    value.code === pkcs11.CKR_PIN_EXPIRED
      ? 'was refused because it is too old: set a new one with “sealgate card pin change”'
      : `was refused${triesLeft(state)}`;
  const next = state === 'locked' ? `. ${whoUnlocks(role)}` : '; it is not tried again by itself.';
  return new SealgateError({
    code: state === 'locked' ? 'key.pin-locked' : 'key.pin-incorrect',
    duration: 'permanent',
    publicText: `${namedPin(slot, role)} ${why}${next}`,
    reason: value.name,
  });
}

function locked(slot: ManagedSlot, role: Role, reason: string): SealgateError {
  return new SealgateError({
    code: 'key.pin-locked',
    duration: 'permanent',
    publicText: `${namedPin(slot, role)} is blocked. ${whoUnlocks(role)}`,
    reason,
  });
}

function whoUnlocks(role: Role): string {
  return role === 'user'
    ? 'Unblock it with “sealgate card pin unblock” and the PUK or the security officer’s PIN.'
    : 'Only who issued the token can help now.';
}

function noPin(slot: ManagedSlot): SealgateError {
  return new SealgateError({
    code: 'key.pin-not-set',
    duration: 'permanent',
    publicText: `The token ${slot.nameForPeople()} has no user PIN yet; set one with “sealgate card pin unblock” and the security officer’s PIN.`,
  });
}

function stateOf(slot: ManagedSlot, role: Role): PinState {
  const info = slot.tokenInfoIfAny;
  if (info === null) return 'fine';
  return role === 'user' ? userPinState(info.flags) : officerPinState(info.flags);
}

function namedPin(slot: ManagedSlot, role: Role): string {
  const whose = role === 'user' ? 'The PIN' : 'The security officer’s PIN (or PUK)';
  const label = forPeople(unpadded(slot.tokenInfoIfAny?.label ?? ''));
  return label === '' ? `${whose} of the token` : `${whose} of the token “${label}”`;
}

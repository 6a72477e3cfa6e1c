import pkcs11 from 'pkcs11js';
import { SealgateError } from '../../../errors.ts';
import type { ManagementAnswer, ManagementRequest } from '../../management-messages.ts';
import type { TokenSelector } from '../../source-kinds.ts';
import { isReturnValue } from '../pkcs11-errors.ts';
import { type ManagedModule, type ManagedSlot, theOne, unpadded } from './managed-module.ts';
import type { Person } from './person.ts';
import { newPinPrompt, openSession, promptOf, refusedPin, requireTry } from './token-login.ts';

/** CK_TOKEN_INFO.label: 32 octets, filled up with blanks. */
const LABEL_OCTETS = 32;

type Request = Extract<ManagementRequest, { kind: 'initialise' }>;

/**
 * C_InitToken with a label and the security officer's PIN, then C_InitPIN for the user.
 *
 * Must never happen: a token that is in use is erased although nobody has said so.
 *
 * @throws SealgateError `key.token-in-use`, `key.token-label`, `key.token-absent`, `key.token-ambiguous`, `key.pin-incorrect` …
 */
export async function initialiseToken(
  module: ManagedModule,
  selector: TokenSelector,
  request: Request,
  person: Person,
): Promise<ManagementAnswer> {
  const label = paddedLabel(request.label);
  const slot = tokenToInitialise(module, selector, request.erase);
  const again = slot.isInitialised;
  if (again) requireTry(slot, 'officer', request.useLastTry);
  // A new token takes whatever it is given; one in use wants the PIN it has.
  const soPin = again
    ? await person.secret(request.soPin, promptOf(slot, 'initialise'))
    : await person.newSecret(request.soPin, newPinPrompt(slot, 'new-officer-pin'));
  const userPin = await person.newSecret(request.userPin, newPinPrompt(slot, 'new-pin'));
  person.working('initialising the token');
  const { reader } = slot;
  const serials = serialsOf(module);
  try {
    module.pkcs11.C_InitToken(slot.id, soPin, label);
  } catch (error) {
    throw notInitialised(slot, error);
  }
  const fresh = initialisedToken(module, slot, { label: request.label, reader, serials });
  const session = openSession(module, fresh);
  try {
    module.pkcs11.C_Login(session, pkcs11.CKU_SO, soPin);
    module.pkcs11.C_InitPIN(session, userPin);
    module.pkcs11.C_Logout(session);
  } catch (error) {
    throw refusedPin(fresh, 'officer', error);
  }
  const { serialNumber } = fresh.tokenInfo;
  return { kind: 'initialise', label: request.label, serial: unpadded(serialNumber) };
}

function paddedLabel(label: string): string {
  const octets = Buffer.byteLength(label, 'utf8');
  if (
    octets === 0 ||
    octets > LABEL_OCTETS ||
    /[\p{Cc}\p{Cf}\p{Cs}]/u.test(label) ||
    label !== label.trim()
  ) {
    throw new SealgateError({
      code: 'key.token-label',
      duration: 'permanent',
      publicText: `A token’s label has 1 to ${LABEL_OCTETS} octets, no control characters, and no blank at its ends; choose another one.`,
    });
  }
  // C_InitToken of pkcs11js copies 32 octets of what it is given.
  return label + ' '.repeat(LABEL_OCTETS - octets);
}

function tokenToInitialise(module: ManagedModule, selector: TokenSelector, erase: boolean): ManagedSlot {
  const present = module.slots().filter((slot) => slot.tokenInfoIfAny !== null);
  const blank = present.filter((slot) => !slot.isInitialised);
  const named = Object.values(selector).some((value) => value !== null);
  // SoftHSM always shows one blank token besides those in use.
  const chosen =
    !named && blank.length > 0 ? theOne(blank, present, selector) : theOne(present, present, selector);
  if (chosen.isInitialised && !erase) {
    throw new SealgateError({
      code: 'key.token-in-use',
      duration: 'permanent',
      publicText: `The token ${chosen.nameForPeople()} is in use already; initialising it destroys every key on it. When that is wanted, say so with --erase.`,
    });
  }
  return chosen;
}

function serialsOf(module: ManagedModule): ReadonlySet<string> {
  return new Set(
    module
      .slots()
      .filter((slot) => slot.isInitialised)
      .map((slot) => unpadded(slot.tokenInfo.serialNumber)),
  );
}

/** Slot numbers may change with C_InitToken (SoftHSM derives them from the new serial number). */
function initialisedToken(
  module: ManagedModule,
  before: ManagedSlot,
  { label, reader, serials }: { label: string; reader: string; serials: ReadonlySet<string> },
): ManagedSlot {
  const named = module
    .slots()
    .filter((slot) => slot.isInitialised && unpadded(slot.tokenInfo.label) === label);
  const sameReader = named.find((slot) => slot.id.equals(before.id) && slot.reader === reader);
  const found = sameReader ?? named.find((slot) => !serials.has(unpadded(slot.tokenInfo.serialNumber)));
  if (found !== undefined) return found;
  throw new SealgateError({
    code: 'key.unavailable',
    duration: 'temporary',
    publicText:
      'The token was initialised but does not show itself, so it has no user PIN yet; look with “sealgate token list” and set one with “sealgate card pin unblock”.',
  });
}

function notInitialised(slot: ManagedSlot, error: unknown): unknown {
  if (isReturnValue(error, pkcs11.CKR_FUNCTION_NOT_SUPPORTED)) {
    return new SealgateError({
      code: 'key.refused',
      duration: 'permanent',
      publicText:
        'This module does not initialise tokens of this kind; use the program of whoever made the card.',
      reason: 'CKR_FUNCTION_NOT_SUPPORTED',
      cause: error,
    });
  }
  return refusedPin(slot, 'officer', error);
}

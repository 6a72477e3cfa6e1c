import pkcs11 from 'pkcs11js';
import type { ModuleDescription, SlotDescription, TokenOnSlot } from '../../management-messages.ts';
import { returnValueOf } from '../pkcs11-errors.ts';
import { CKK_EC_EDWARDS } from '../pkcs11-numbers.ts';
import {
  CKF_REMOVABLE_DEVICE,
  CKF_TOKEN_PRESENT,
  type ManagedModule,
  type ManagedSlot,
  unpadded,
} from './managed-module.ts';
import { attribute, idOf, labelOf, numberOf, objectsOf } from './managed-objects.ts';
import { MechanismSummary } from './mechanism-summary.ts';
import { officerPinState, userPinState } from './pin-state.ts';

/** Readers and tokens of a module, with everything that is shown without a login. */
export function listSlots(module: ManagedModule): { module: ModuleDescription; slots: SlotDescription[] } {
  const { libraryDescription, manufacturerID, libraryVersion, cryptokiVersion } = module.pkcs11.C_GetInfo();
  const version = ({ major, minor }: pkcs11.Version) => `${major}.${minor}`;
  return {
    module: {
      description: unpadded(libraryDescription),
      manufacturer: unpadded(manufacturerID),
      version: version(libraryVersion),
      cryptoki: version(cryptokiVersion),
    },
    slots: module.slots().map((slot) => describeSlot(module, slot)),
  };
}

function describeSlot(module: ManagedModule, slot: ManagedSlot): SlotDescription {
  const { flags, manufacturerID } = slot.info;
  return {
    reader: slot.reader,
    manufacturer: unpadded(manufacturerID),
    removable: (flags & CKF_REMOVABLE_DEVICE) !== 0,
    state: (flags & CKF_TOKEN_PRESENT) === 0 ? { kind: 'empty' } : stateOf(module, slot),
  };
}

function stateOf(module: ManagedModule, slot: ManagedSlot): SlotDescription['state'] {
  try {
    return { kind: 'token', token: describeToken(module, slot) };
  } catch (error) {
    const value = returnValueOf(error);
    if (value === null) throw error;
    // The reader learns of a removal at different moments.
    if (value.code === pkcs11.CKR_TOKEN_NOT_PRESENT) return { kind: 'empty' };
    return { kind: 'unknown', reason: value.name };
  }
}

function describeToken(module: ManagedModule, slot: ManagedSlot): TokenOnSlot {
  const info = slot.tokenInfo;
  const { flags, minPinLen, maxPinLen } = info;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const initialised = has(pkcs11.CKF_TOKEN_INITIALIZED);
  return {
    label: unpadded(info.label),
    serial: unpadded(info.serialNumber),
    model: unpadded(info.model),
    manufacturer: unpadded(info.manufacturerID),
    initialised,
    writeProtected: has(pkcs11.CKF_WRITE_PROTECTED),
    loginRequired: has(pkcs11.CKF_LOGIN_REQUIRED),
    pinPad: has(pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH),
    pin: userPinState(flags),
    soPin: officerPinState(flags),
    pinLength: { least: minPinLen, most: maxPinLen },
    abilities: new MechanismSummary(module.pkcs11, slot.id).abilities,
    ...(initialised ? publicObjects(module, slot) : { certificates: [], publicKeys: [] }),
  };
}

function publicObjects(
  module: ManagedModule,
  slot: ManagedSlot,
): Pick<TokenOnSlot, 'certificates' | 'publicKeys'> {
  const session = module.pkcs11.C_OpenSession(slot.id, pkcs11.CKF_SERIAL_SESSION);
  try {
    const named = (object: Buffer) => ({
      label: labelOf(module, session, object),
      id: idOf(module, session, object).toString('hex'),
    });
    const certificates = objectsOf(module, session, pkcs11.CKO_CERTIFICATE).flatMap((object) => {
      const certificate = attribute(module, session, object, pkcs11.CKA_VALUE);
      return certificate === null || certificate.length === 0 ? [] : [{ ...named(object), certificate }];
    });
    const publicKeys = objectsOf(module, session, pkcs11.CKO_PUBLIC_KEY).map((object) => ({
      ...named(object),
      type: keyKind(numberOf(module, session, object, pkcs11.CKA_KEY_TYPE)),
    }));
    return { certificates, publicKeys };
  } finally {
    module.pkcs11.C_CloseSession(session);
  }
}

function keyKind(type: number | null): string {
  switch (type) {
    case pkcs11.CKK_RSA:
      return 'RSA';
    case pkcs11.CKK_EC:
      return 'EC';
    case CKK_EC_EDWARDS:
      return 'Edwards';
    default:
      return 'other';
  }
}

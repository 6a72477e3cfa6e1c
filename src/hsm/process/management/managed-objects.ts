import pkcs11 from 'pkcs11js';
import { returnValueOf } from '../pkcs11-errors.ts';
import type { ManagedModule } from './managed-module.ts';

/** More than this is not looked at: a token for a whole house, and a bound for a broken one. */
const MAX_OBJECTS = 20_000;

/** Objects that fit a template (C_FindObjects), as handles of this session. */
export function findObjects(module: ManagedModule, session: Buffer, template: pkcs11.Template): Buffer[] {
  const found: Buffer[] = [];
  module.pkcs11.C_FindObjectsInit(session, template);
  try {
    while (found.length < MAX_OBJECTS) {
      const more = module.pkcs11.C_FindObjects(session, 256);
      if (more.length === 0) break;
      found.push(...more);
    }
  } finally {
    module.pkcs11.C_FindObjectsFinal(session);
  }
  return found;
}

export function objectsOf(module: ManagedModule, session: Buffer, objectClass: number): Buffer[] {
  return findObjects(module, session, [{ type: pkcs11.CKA_CLASS, value: objectClass }]);
}

/** null: the token does not have or does not show it. One by one: what is missing fails all that are asked together. */
export function attribute(
  module: ManagedModule,
  session: Buffer,
  object: Buffer,
  type: number,
): Buffer | null {
  try {
    return module.pkcs11.C_GetAttributeValue(session, object, [{ type }])[0]?.value ?? null;
  } catch (error) {
    if (returnValueOf(error) === null) throw error;
    return null;
  }
}

export function labelOf(module: ManagedModule, session: Buffer, object: Buffer): string {
  return attribute(module, session, object, pkcs11.CKA_LABEL)?.toString('utf8') ?? '';
}

/** CKA_ID; empty: none. */
export function idOf(module: ManagedModule, session: Buffer, object: Buffer): Buffer {
  return attribute(module, session, object, pkcs11.CKA_ID) ?? Buffer.alloc(0);
}

/** CK_ULONG in the machine's order: little-endian on every platform Node runs on here. */
export function numberOf(
  module: ManagedModule,
  session: Buffer,
  object: Buffer,
  type: number,
): number | null {
  const value = attribute(module, session, object, type);
  return value === null || value.length < 4 ? null : value.readUInt32LE(0);
}

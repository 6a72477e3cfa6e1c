import pkcs11 from 'pkcs11js';
import { SealgateError } from '../../../errors.ts';
import type { ManagementAnswer, ManagementRequest } from '../../management-messages.ts';
import type { TokenSelector } from '../../source-kinds.ts';
import { forPeople, type ManagedModule } from './managed-module.ts';
import { findObjects, labelOf } from './managed-objects.ts';
import type { Person } from './person.ts';
import { logIn, openSession } from './token-login.ts';

const CLASSES = [pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY, pkcs11.CKO_CERTIFICATE];

/**
 * Deletes keys and certificates of one name (CKA_LABEL), compared exactly: a token that matches templates loosely takes nothing else
 * along.
 *
 * @throws SealgateError `key.absent`, those of logging in
 */
export async function deleteObjects(
  module: ManagedModule,
  selector: TokenSelector,
  { label, login }: Extract<ManagementRequest, { kind: 'delete' }>,
  person: Person,
): Promise<ManagementAnswer> {
  const slot = module.token(selector);
  const session = openSession(module, slot);
  await logIn(module, slot, session, login, person);
  const objects = CLASSES.flatMap((type) =>
    findObjects(module, session, [
      { type: pkcs11.CKA_CLASS, value: type },
      { type: pkcs11.CKA_LABEL, value: label },
    ]),
  ).filter((object) => labelOf(module, session, object) === label);
  if (label === '' || objects.length === 0) {
    throw new SealgateError({
      code: 'key.absent',
      duration: 'permanent',
      publicText: `The token ${slot.nameForPeople()} has no key or certificate with exactly the name “${forPeople(label)}”; “sealgate token list” shows the names.`,
    });
  }
  person.working('deleting');
  for (const object of objects) module.pkcs11.C_DestroyObject(session, object);
  return { kind: 'delete', objects: objects.length };
}

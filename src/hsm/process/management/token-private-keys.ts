import type { KeyObject } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import { tokenPublicKey } from '../token-public-key.ts';
import type { ManagedModule } from './managed-module.ts';
import { attribute, idOf, labelOf, numberOf, objectsOf } from './managed-objects.ts';
import { publicKeyOf } from './token-key-types.ts';

/** CKA_ID and CKA_LABEL of a key on a token. */
export type KeyName = { id: Buffer; label: string };

/**
 * The private key that belongs to a public one: by the modulus, which RSA keys show, else by a public key object with the same
 * CKA_ID. null: the token has none.
 */
export function privateKeyFor(module: ManagedModule, session: Buffer, publicKey: KeyObject): KeyName | null {
  const wanted = tokenPublicKey(publicKey);
  if (wanted === null) return null;
  const publicIds = objectsOf(module, session, pkcs11.CKO_PUBLIC_KEY)
    .filter((object) => isSameKey(publicKeyOf(module, session, object), publicKey))
    .map((object) => idOf(module, session, object));
  for (const object of objectsOf(module, session, pkcs11.CKO_PRIVATE_KEY)) {
    const id = idOf(module, session, object);
    const modulus =
      numberOf(module, session, object, pkcs11.CKA_KEY_TYPE) === pkcs11.CKK_RSA
        ? unsigned(attribute(module, session, object, pkcs11.CKA_MODULUS))
        : null;
    const same =
      modulus === null
        ? id.length > 0 && publicIds.some((one) => one.equals(id))
        : modulus.equals(wanted.value);
    if (same) return { id, label: labelOf(module, session, object) };
  }
  return null;
}

function isSameKey(one: KeyObject | null, other: KeyObject): boolean {
  // KeyObject.equals leaves an error behind for keys of different kinds.
  return one !== null && one.asymmetricKeyType === other.asymmetricKeyType && one.equals(other);
}

function unsigned(value: Buffer | null): Buffer | null {
  if (value === null || value.length === 0) return null;
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  return value.subarray(start);
}

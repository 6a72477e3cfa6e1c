import { createPublicKey, type KeyObject } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import * as der from '../../../asn1/writer.ts';
import type { TokenKeyType } from '../../management-messages.ts';
import { CKK_EC_EDWARDS } from '../pkcs11-numbers.ts';
import type { ManagedModule } from './managed-module.ts';
import { attribute, numberOf } from './managed-objects.ts';

/** Kinds of key as PKCS#11 writes them: attributes of new keys, and public keys read from tokens. */

const CURVES = {
  'p-256': '1.2.840.10045.3.1.7',
  'p-384': '1.3.132.0.34',
  'p-521': '1.3.132.0.35',
} as const;
const ED25519 = '1.3.101.112';
const EC_PUBLIC_KEY = '1.2.840.10045.2.1';
const RSA_ENCRYPTION = '1.2.840.113549.1.1.1';

/** Attributes of the public key that say what is generated. */
export function generationTemplate(type: TokenKeyType): pkcs11.Template {
  switch (type) {
    case 'rsa-2048':
    case 'rsa-3072':
    case 'rsa-4096':
      return [
        { type: pkcs11.CKA_MODULUS_BITS, value: Number(type.slice(4)) },
        { type: pkcs11.CKA_PUBLIC_EXPONENT, value: Buffer.from([0x01, 0x00, 0x01]) },
      ];
    case 'p-256':
    case 'p-384':
    case 'p-521':
      return [{ type: pkcs11.CKA_EC_PARAMS, value: der.oid(CURVES[type]) }];
    case 'ed25519':
      // PKCS#11 v3.0: the name of the curve as a PrintableString, or its OID; SoftHSM takes the name alone.
      return [{ type: pkcs11.CKA_EC_PARAMS, value: der.printableString('edwards25519') }];
  }
}

/**
 * The public key that an object of class CKO_PUBLIC_KEY is.
 *
 * @throws Error from node:crypto where its attributes make no key
 */
export function publicKeyOf(module: ManagedModule, session: Buffer, object: Buffer): KeyObject | null {
  const read = (type: number) => attribute(module, session, object, type);
  switch (numberOf(module, session, object, pkcs11.CKA_KEY_TYPE)) {
    case pkcs11.CKK_RSA: {
      const modulus = read(pkcs11.CKA_MODULUS);
      const exponent = read(pkcs11.CKA_PUBLIC_EXPONENT);
      if (modulus === null || exponent === null) return null;
      const key = der.sequence(der.unsignedInteger(modulus), der.unsignedInteger(exponent));
      return spki(der.sequence(der.oid(RSA_ENCRYPTION), der.nullValue()), key);
    }
    case pkcs11.CKK_EC: {
      const parameters = read(pkcs11.CKA_EC_PARAMS);
      const point = unwrapped(read(pkcs11.CKA_EC_POINT));
      if (parameters === null || point === null) return null;
      return spki(der.sequence(der.oid(EC_PUBLIC_KEY), parameters), point);
    }
    case CKK_EC_EDWARDS: {
      const point = unwrapped(read(pkcs11.CKA_EC_POINT));
      return point?.length === 32 ? spki(der.sequence(der.oid(ED25519)), point) : null;
    }
    default:
      return null;
  }
}

function spki(algorithm: Buffer, key: Buffer): KeyObject {
  const encoded = der.sequence(algorithm, der.bitString(key));
  return createPublicKey({ key: encoded, format: 'der', type: 'spki' });
}

/** CKA_EC_POINT is a DER OCTET STRING around the point; some tokens leave the wrapping off. */
function unwrapped(value: Buffer | null): Buffer | null {
  if (value === null || value[0] !== 0x04) return value;
  if (value[1] === value.length - 2) return value.subarray(2);
  return value[1] === 0x81 && value[2] === value.length - 3 ? value.subarray(3) : value;
}

import { createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import { readWhole } from '../../../asn1/reader.ts';
import { sequenceOf } from '../../../asn1/sequence-reader.ts';
import * as der from '../../../asn1/writer.ts';
import { SealgateError } from '../../../errors.ts';
import { parseSubjectPublicKeyInfo } from '../../../pki/public-key.ts';
import { CKK_EC_EDWARDS } from '../pkcs11-numbers.ts';

/** Attributes of a private key that comes from outside, and of its public key. */

export type ImportedKey = { id: Buffer; label: string; extractable: boolean; privateKey: KeyObject };

/** @param values whether the numbers of the key are in it; not where they come by C_UnwrapKey */
export function privateTemplate(
  key: ImportedKey,
  { agrees, values }: { agrees: boolean; values: boolean },
): pkcs11.Template {
  const { id, label, extractable, privateKey } = key;
  const type = keyType(privateKey);
  return [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: type },
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_PRIVATE, value: true },
    { type: pkcs11.CKA_SENSITIVE, value: true },
    { type: pkcs11.CKA_EXTRACTABLE, value: extractable },
    { type: pkcs11.CKA_ID, value: id },
    { type: pkcs11.CKA_LABEL, value: label },
    { type: pkcs11.CKA_SIGN, value: true },
    ...(type === pkcs11.CKK_RSA ? [{ type: pkcs11.CKA_DECRYPT, value: true }] : []),
    ...(type === pkcs11.CKK_EC && agrees ? [{ type: pkcs11.CKA_DERIVE, value: true }] : []),
    ...(values ? numbersOf(privateKey) : []),
  ];
}

export function publicTemplate({ id, label, privateKey }: ImportedKey): pkcs11.Template {
  const publicKey = createPublicKey(privateKey);
  const type = keyType(privateKey);
  const jwk = publicKey.export({ format: 'jwk' });
  const numbers: pkcs11.Template =
    type === pkcs11.CKK_RSA
      ? [
          { type: pkcs11.CKA_MODULUS, value: number(jwk, 'n') },
          { type: pkcs11.CKA_PUBLIC_EXPONENT, value: number(jwk, 'e') },
          { type: pkcs11.CKA_ENCRYPT, value: true },
        ]
      : [
          { type: pkcs11.CKA_EC_PARAMS, value: parametersOf(publicKey) },
          { type: pkcs11.CKA_EC_POINT, value: der.octetString(pointOf(publicKey)) },
        ];
  return [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PUBLIC_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: type },
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_PRIVATE, value: false },
    { type: pkcs11.CKA_ID, value: id },
    { type: pkcs11.CKA_LABEL, value: label },
    { type: pkcs11.CKA_VERIFY, value: true },
    ...numbers,
  ];
}

function numbersOf(privateKey: KeyObject): pkcs11.Template {
  const jwk = privateKey.export({ format: 'jwk' });
  if (keyType(privateKey) === pkcs11.CKK_RSA) {
    return [
      { type: pkcs11.CKA_MODULUS, value: number(jwk, 'n') },
      { type: pkcs11.CKA_PUBLIC_EXPONENT, value: number(jwk, 'e') },
      { type: pkcs11.CKA_PRIVATE_EXPONENT, value: number(jwk, 'd') },
      { type: pkcs11.CKA_PRIME_1, value: number(jwk, 'p') },
      { type: pkcs11.CKA_PRIME_2, value: number(jwk, 'q') },
      { type: pkcs11.CKA_EXPONENT_1, value: number(jwk, 'dp') },
      { type: pkcs11.CKA_EXPONENT_2, value: number(jwk, 'dq') },
      { type: pkcs11.CKA_COEFFICIENT, value: number(jwk, 'qi') },
    ];
  }
  return [
    { type: pkcs11.CKA_EC_PARAMS, value: parametersOf(createPublicKey(privateKey)) },
    { type: pkcs11.CKA_VALUE, value: number(jwk, 'd') },
  ];
}

/** @throws SealgateError `key.import-refused` */
function keyType(key: KeyObject): number {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return pkcs11.CKK_RSA;
    case 'ec':
      return pkcs11.CKK_EC;
    case 'ed25519':
      return CKK_EC_EDWARDS;
    default:
      throw new SealgateError({
        code: 'key.import-refused',
        duration: 'permanent',
        publicText: `A key of the kind ${key.asymmetricKeyType ?? 'unknown'} cannot be put into a token; put it into a key store (“sealgate keys import --store”).`,
      });
  }
}

function number(jwk: webcrypto.JsonWebKey, name: 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi'): Buffer {
  const value = jwk[name];
  if (value === undefined) throw new Error(`a key without ${name}`);
  return Buffer.from(value, 'base64url');
}

/** The parameters of the AlgorithmIdentifier: the OID of the curve; for Edwards curves its name (PKCS#11 v3.0). */
function parametersOf(publicKey: KeyObject): Buffer {
  if (publicKey.asymmetricKeyType === 'ed25519') return der.printableString('edwards25519');
  const spki = sequenceOf(
    readWhole(publicKey.export({ type: 'spki', format: 'der' }), 'DER'),
    'DER',
    'SubjectPublicKeyInfo',
  );
  const algorithm = spki.sequence('algorithm');
  algorithm.next('algorithm');
  return algorithm.next('parameters').raw;
}

function pointOf(publicKey: KeyObject): Buffer {
  return parseSubjectPublicKeyInfo(publicKey.export({ type: 'spki', format: 'der' })).subjectPublicKey;
}

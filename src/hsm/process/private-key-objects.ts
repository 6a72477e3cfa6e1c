import { createPublicKey } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import { SealgateError } from '../../errors.ts';
import {
  CKA_ALLOWED_MECHANISMS,
  CKA_PUBLIC_KEY_INFO,
  CKK_EC_EDWARDS,
  CKK_EC_MONTGOMERY,
} from './pkcs11-numbers.ts';
import type { KeyPermissions } from './token-abilities.ts';
import type { TokenObjectReader } from './token-object-reader.ts';
import { type TokenPublicKey, tokenPublicKey } from './token-public-key.ts';

/** A private key object of a token. What it may do is asked only of those that are used. */
export type PrivateKeyObject = {
  object: Buffer;
  /** Some tokens hold keys for agreement (RFC 7748) under the type of keys for signatures (RFC 8032). */
  types: readonly TokenPublicKey['type'][];
  id: Buffer;
  label: string;
  /** As in TokenPublicKey, in every reading of what the token tells; empty: it tells nothing, match by CKA_ID. */
  public: readonly Buffer[];
  permissions(): KeyPermissions;
  /** CKA_ALWAYS_AUTHENTICATE. */
  alwaysAuthenticate(): boolean;
};

/** @throws what pkcs11js throws when the token does not answer */
export function readPrivateKeys(reader: TokenObjectReader): PrivateKeyObject[] {
  const keys: PrivateKeyObject[] = [];
  let points: ReadonlyMap<string, readonly Buffer[]> | null = null;
  for (const object of reader.find(pkcs11.CKO_PRIVATE_KEY)) {
    const types = keyTypes(reader.number(object, pkcs11.CKA_KEY_TYPE));
    if (types.length === 0) continue;
    const id = reader.octets(object, pkcs11.CKA_ID) ?? Buffer.alloc(0);
    let publicPart: readonly Buffer[] = types.includes('rsa')
      ? unsigned(reader.octets(object, pkcs11.CKA_MODULUS))
      : readPoint(reader.octets(object, pkcs11.CKA_EC_POINT));
    if (publicPart.length === 0) publicPart = publicKeyInfo(reader, object);
    if (publicPart.length === 0 && !types.includes('rsa')) {
      points ??= publicPoints(reader);
      publicPart = points.get(id.toString('hex')) ?? [];
    }
    keys.push({
      object,
      types,
      id,
      label: reader.text(object, pkcs11.CKA_LABEL),
      public: publicPart,
      permissions: () => ({
        sign: reader.flag(object, pkcs11.CKA_SIGN),
        decrypt: reader.flag(object, pkcs11.CKA_DECRYPT),
        unwrap: reader.flag(object, pkcs11.CKA_UNWRAP),
        derive: reader.flag(object, pkcs11.CKA_DERIVE),
        allowed: reader.numbers(object, CKA_ALLOWED_MECHANISMS),
      }),
      alwaysAuthenticate: () => reader.flag(object, pkcs11.CKA_ALWAYS_AUTHENTICATE),
    });
  }
  return keys;
}

function keyTypes(value: number | null): readonly TokenPublicKey['type'][] {
  switch (value) {
    case pkcs11.CKK_RSA:
      return ['rsa'];
    case pkcs11.CKK_EC:
      return ['ec'];
    case CKK_EC_EDWARDS:
      return ['edwards', 'montgomery'];
    case CKK_EC_MONTGOMERY:
      return ['montgomery'];
    default:
      return [];
  }
}

/** Points are attributes of public key objects; two with one CKA_ID tell nothing. */
function publicPoints(reader: TokenObjectReader): ReadonlyMap<string, readonly Buffer[]> {
  const points = new Map<string, readonly Buffer[]>();
  const ambiguous = new Set<string>();
  for (const object of reader.find(pkcs11.CKO_PUBLIC_KEY)) {
    if (keyTypes(reader.number(object, pkcs11.CKA_KEY_TYPE)).every((type) => type === 'rsa')) continue;
    const id = reader.octets(object, pkcs11.CKA_ID);
    const readings = readPoint(reader.octets(object, pkcs11.CKA_EC_POINT));
    if (id === null || readings.length === 0) continue;
    const name = id.toString('hex');
    if (points.has(name)) ambiguous.add(name);
    points.set(name, readings);
  }
  for (const name of ambiguous) points.delete(name);
  return points;
}

/**
 * CKA_EC_POINT is a DER OCTET STRING around the point (PKCS#11 v2.40, ECDSA public key objects) or, for the curves of RFC 8032
 * and 7748, a BIT STRING; some tokens leave the wrapping off, and a point may begin like a wrapping.
 */
function readPoint(value: Buffer | null): Buffer[] {
  if (value === null || value.length < 3) return [];
  const long = value[1] === 0x81;
  const wrapped = long ? value[2] === value.length - 3 : value[1] === value.length - 2;
  const start = long ? 3 : 2;
  if (wrapped && value[0] === 0x04) return [value.subarray(start), value];
  if (wrapped && value[0] === 0x03 && value[start] === 0) return [value.subarray(start + 1), value];
  return [value];
}

function publicKeyInfo(reader: TokenObjectReader, object: Buffer): Buffer[] {
  const der = reader.octets(object, CKA_PUBLIC_KEY_INFO);
  if (der === null) return [];
  try {
    const key = tokenPublicKey(createPublicKey({ key: der, format: 'der', type: 'spki' }));
    return key === null ? [] : [key.value];
  } catch (error) {
    // Modules put other things here; then there are other ways to tell.
    if (error instanceof SealgateError || (error instanceof Error && 'code' in error)) return [];
    throw error;
  }
}

/** CKA_MODULUS, which some tokens write with zeros in front. */
function unsigned(value: Buffer | null): Buffer[] {
  if (value === null) return [];
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  return [value.subarray(start)];
}

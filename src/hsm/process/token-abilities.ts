import type { KeyObject } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import type { DigestName, SignatureScheme } from '../../cms/keys.ts';
import { unreachable } from '../../errors.ts';
import { signatureSchemes } from '../signature-schemes.ts';
import type { KeyHandle, OpeningWay, SigningWay } from './key-handle.ts';
import { returnValueOf } from './pkcs11-errors.ts';
import { CKM_EDDSA } from './pkcs11-numbers.ts';
import type { TokenPublicKey } from './token-public-key.ts';

/**
 * What a private key on a token does: what the token offers (C_GetMechanismInfo), what the key is for (CKA_SIGN, CKA_DECRYPT,
 * CKA_UNWRAP, CKA_DERIVE) and what it may be used with (CKA_ALLOWED_MECHANISMS), all three.
 */

/** null: the token names the mechanism and says nothing about it. */
export type TokenMechanisms = ReadonlyMap<number, pkcs11.MechanismInfo | null>;

/** What the key object says; `allowed` null: every mechanism. */
export type KeyPermissions = {
  sign: boolean;
  decrypt: boolean;
  unwrap: boolean;
  derive: boolean;
  allowed: ReadonlySet<number> | null;
};

export type KeyAbilities = Pick<KeyHandle, 'signing' | 'pkcs1' | 'oaep' | 'agreement'>;

/** @throws what pkcs11js throws when the token does not answer */
export function readMechanisms(module: pkcs11.PKCS11, slot: Buffer): TokenMechanisms {
  const mechanisms = new Map<number, pkcs11.MechanismInfo | null>();
  for (const mechanism of module.C_GetMechanismList(slot)) {
    if (mechanisms.size >= MAX_MECHANISMS) break;
    if (USED.has(mechanism)) mechanisms.set(mechanism, mechanismInfo(module, slot, mechanism));
  }
  return mechanisms;
}

/** PKCS#11 v3.1 has about 500; a bound for a broken module. */
const MAX_MECHANISMS = 2_000;

function mechanismInfo(module: pkcs11.PKCS11, slot: Buffer, mechanism: number): pkcs11.MechanismInfo | null {
  try {
    return module.C_GetMechanismInfo(slot, mechanism);
  } catch (error) {
    if (returnValueOf(error) === null) throw error;
    return null;
  }
}

/** @param key of the certificate: which schemes and sizes there are */
export function abilitiesOf(
  key: KeyObject,
  publicKey: TokenPublicKey,
  permissions: KeyPermissions,
  mechanisms: TokenMechanisms,
): KeyAbilities {
  const offered = (mechanism: number, operation: number): boolean =>
    (permissions.allowed === null || permissions.allowed.has(mechanism)) &&
    offers(mechanisms, mechanism, operation, publicKey.bits);
  return {
    signing: permissions.sign
      ? signatureSchemes({ publicKey: key }).flatMap((scheme) =>
          candidates(scheme).filter(({ mechanism }) => offered(mechanism, pkcs11.CKF_SIGN)),
        )
      : [],
    pkcs1: key.asymmetricKeyType === 'rsa' ? opening(permissions, offered, pkcs11.CKM_RSA_PKCS) : [],
    oaep: key.asymmetricKeyType === 'rsa' ? opening(permissions, offered, pkcs11.CKM_RSA_PKCS_OAEP) : [],
    agreement: permissions.derive ? agreement(publicKey.type, offered) : null,
  };
}

/** The schemes among ways of signing, in their order. */
export function schemesOf(ways: readonly SigningWay[]): SignatureScheme[] {
  return [...new Set(ways.map((way) => way.scheme))];
}

type Offered = (mechanism: number, operation: number) => boolean;

function offers(
  mechanisms: TokenMechanisms,
  mechanism: number,
  operation: number,
  bits: TokenPublicKey['bits'],
): boolean {
  const info = mechanisms.get(mechanism);
  if (info === undefined) return false;
  if (info === null) return true;
  // A module that sets none of them does not mean that the mechanism is good for nothing.
  if ((info.flags & OPERATIONS) !== 0 && (info.flags & operation) === 0) return false;
  return (
    within(info, bits, 1) ||
    // PKCS#11 says bits; some modules say octets.
    (info.maxKeySize < 1_024 && MODULUS_MECHANISMS.has(mechanism) && within(info, bits, 8))
  );
}

function within(info: pkcs11.MechanismInfo, bits: TokenPublicKey['bits'], unit: number): boolean {
  const unsaid = info.maxKeySize === 0;
  return unsaid || (info.minKeySize * unit <= bits.most && info.maxKeySize * unit >= bits.least);
}

function opening(permissions: KeyPermissions, offered: Offered, padded: number): OpeningWay[] {
  if (!permissions.decrypt) {
    return permissions.unwrap && offered(padded, pkcs11.CKF_UNWRAP) ? ['unwrapped'] : [];
  }
  const ways: OpeningWay[] = [];
  // First, since tokens have errors of many kinds for a wrong padding, and some ignore digests and labels of OAEP.
  if (offered(pkcs11.CKM_RSA_X_509, pkcs11.CKF_DECRYPT)) ways.push('bare');
  if (offered(padded, pkcs11.CKF_DECRYPT)) ways.push('padded');
  return ways;
}

function agreement(type: TokenPublicKey['type'], offered: Offered): number | null {
  // With a cofactor of one, both are the same; the curves of RFC 7748 have another.
  const possible =
    type === 'ec'
      ? [pkcs11.CKM_ECDH1_DERIVE, pkcs11.CKM_ECDH1_COFACTOR_DERIVE]
      : type === 'montgomery'
        ? [pkcs11.CKM_ECDH1_DERIVE]
        : [];
  return possible.find((mechanism) => offered(mechanism, pkcs11.CKF_DERIVE)) ?? null;
}

/** Ways to make one kind of signature, best first: what is hashed here needs not pass to the token. */
function candidates(scheme: SignatureScheme): SigningWay[] {
  switch (scheme.kind) {
    case 'rsa-pkcs1':
      return [
        { scheme, mechanism: pkcs11.CKM_RSA_PKCS, input: 'digest-info' },
        { scheme, mechanism: HASHING[scheme.digest].rsa, input: 'message' },
      ];
    case 'rsa-pss':
      return [
        { scheme, mechanism: pkcs11.CKM_RSA_PKCS_PSS, input: 'digest' },
        { scheme, mechanism: HASHING[scheme.digest].pss, input: 'message' },
      ];
    case 'ecdsa':
      return [
        { scheme, mechanism: pkcs11.CKM_ECDSA, input: 'digest' },
        { scheme, mechanism: HASHING[scheme.digest].ecdsa, input: 'message' },
      ];
    case 'eddsa':
      return [{ scheme, mechanism: CKM_EDDSA, input: 'message' }];
    case 'ml-dsa':
      return [];
    default:
      return unreachable(scheme);
  }
}

const HASHING: Readonly<Record<DigestName, { rsa: number; pss: number; ecdsa: number }>> = {
  sha1: {
    rsa: pkcs11.CKM_SHA1_RSA_PKCS,
    pss: pkcs11.CKM_SHA1_RSA_PKCS_PSS,
    ecdsa: pkcs11.CKM_ECDSA_SHA1,
  },
  sha224: {
    rsa: pkcs11.CKM_SHA224_RSA_PKCS,
    pss: pkcs11.CKM_SHA224_RSA_PKCS_PSS,
    ecdsa: pkcs11.CKM_ECDSA_SHA224,
  },
  sha256: {
    rsa: pkcs11.CKM_SHA256_RSA_PKCS,
    pss: pkcs11.CKM_SHA256_RSA_PKCS_PSS,
    ecdsa: pkcs11.CKM_ECDSA_SHA256,
  },
  sha384: {
    rsa: pkcs11.CKM_SHA384_RSA_PKCS,
    pss: pkcs11.CKM_SHA384_RSA_PKCS_PSS,
    ecdsa: pkcs11.CKM_ECDSA_SHA384,
  },
  sha512: {
    rsa: pkcs11.CKM_SHA512_RSA_PKCS,
    pss: pkcs11.CKM_SHA512_RSA_PKCS_PSS,
    ecdsa: pkcs11.CKM_ECDSA_SHA512,
  },
};

/** Their sizes are those of a modulus. */
const MODULUS_MECHANISMS: ReadonlySet<number> = new Set([
  pkcs11.CKM_RSA_PKCS,
  pkcs11.CKM_RSA_X_509,
  pkcs11.CKM_RSA_PKCS_OAEP,
  pkcs11.CKM_RSA_PKCS_PSS,
  ...Object.values(HASHING).flatMap(({ rsa, pss }) => [rsa, pss]),
]);

const USED: ReadonlySet<number> = new Set([
  ...MODULUS_MECHANISMS,
  ...Object.values(HASHING).map(({ ecdsa }) => ecdsa),
  pkcs11.CKM_ECDSA,
  CKM_EDDSA,
  pkcs11.CKM_ECDH1_DERIVE,
  pkcs11.CKM_ECDH1_COFACTOR_DERIVE,
]);

/** CK_MECHANISM_INFO flags that say what a mechanism is for. */
const OPERATIONS =
  pkcs11.CKF_ENCRYPT |
  pkcs11.CKF_DECRYPT |
  pkcs11.CKF_SIGN |
  pkcs11.CKF_VERIFY |
  pkcs11.CKF_WRAP |
  pkcs11.CKF_UNWRAP |
  pkcs11.CKF_DERIVE;

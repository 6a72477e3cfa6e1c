import { hash } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import { sequence, unsignedInteger } from '../../asn1/writer.ts';
import type { DigestName, KeyTransportScheme, SignatureScheme } from '../../cms/keys.ts';
import { unreachable } from '../../errors.ts';
import { decryptFailed, FailureError, refused } from '../failures.ts';
import type { Operation } from '../token-messages.ts';
import { digestInfo } from './digest-info.ts';
import { decodeOaep } from './oaep.ts';
import { isRefusal, isReturnValue } from './pkcs11-errors.ts';
import type { KeyHandle } from './thread-messages.ts';

/**
 * One use of one private key inside the token (PKCS#11 v2.40, C_Sign, C_Decrypt, C_DeriveKey). Runs in a thread of the key
 * process; every call blocks it until the token has answered.
 */

/** A session that is logged in, and what is needed to use it. */
export type TokenSession = {
  module: pkcs11.PKCS11;
  session: Buffer;
  mechanisms: ReadonlySet<number>;
  /** Sends the PIN again for a key that asks for it at each use (CKA_ALWAYS_AUTHENTICATE). */
  authenticate(): void;
};

/** @throws what pkcs11js throws, and FailureError */
export function performOperation(on: TokenSession, key: KeyHandle, operation: Operation): Buffer {
  switch (operation.kind) {
    case 'sign': {
      const digest = digestOf(operation.scheme);
      const value =
        operation.input === 'digest' ? Buffer.from(operation.data) : hash(digest, operation.data, 'buffer');
      return sign(on, key, operation.scheme, value);
    }
    case 'decrypt':
      return decrypt(on, key, operation.scheme, Buffer.from(operation.encryptedKey));
    case 'agree':
      return agree(on, key, Buffer.from(operation.point), operation.secretOctets);
    default:
      return unreachable(operation);
  }
}

function digestOf(scheme: SignatureScheme): DigestName {
  if (!('digest' in scheme)) throw new FailureError(refused(`${scheme.kind} on a token`));
  return scheme.digest;
}

function sign(on: TokenSession, key: KeyHandle, scheme: SignatureScheme, value: Buffer): Buffer {
  switch (scheme.kind) {
    case 'rsa-pkcs1':
      requireType(key, 'rsa');
      return signWith(
        on,
        key,
        { mechanism: pkcs11.CKM_RSA_PKCS },
        digestInfo(scheme.digest, value),
        key.octets,
      );
    case 'rsa-pss':
      requireType(key, 'rsa');
      return signWith(
        on,
        key,
        {
          mechanism: pkcs11.CKM_RSA_PKCS_PSS,
          parameter: {
            type: pkcs11.CK_PARAMS_RSA_PSS,
            hashAlg: HASHES[scheme.digest].mechanism,
            mgf: HASHES[scheme.digest].mask,
            saltLen: scheme.saltOctets,
          } as pkcs11.RsaPSS,
        },
        value,
        key.octets,
      );
    case 'ecdsa': {
      requireType(key, 'ec');
      // FIPS 186-5 §6.4.1: the leftmost bits of the hash; not every token cuts by itself.
      const cut = value.subarray(0, key.octets);
      const raw = signWith(on, key, { mechanism: pkcs11.CKM_ECDSA }, cut, 2 * key.octets);
      return ecdsaSigValue(raw);
    }
    case 'eddsa':
    case 'ml-dsa':
      throw new FailureError(refused(`${scheme.kind} on a token`));
    default:
      return unreachable(scheme);
  }
}

function signWith(
  on: TokenSession,
  key: KeyHandle,
  mechanism: pkcs11.Mechanism,
  input: Buffer,
  resultOctets: number,
): Buffer {
  on.module.C_SignInit(on.session, mechanism, Buffer.from(key.object));
  if (key.alwaysAuthenticate) on.authenticate();
  // A copy: pkcs11js gives a view of the buffer that is passed.
  return Buffer.from(on.module.C_Sign(on.session, input, Buffer.alloc(resultOctets + 64)));
}

/** Ecdsa-Sig-Value (RFC 3279 §2.2.3) from r and s side by side (PKCS#11 v2.40, EC signatures). */
function ecdsaSigValue(raw: Buffer): Buffer {
  if (raw.length === 0 || raw.length % 2 !== 0) {
    throw new FailureError(refused(`an ECDSA signature of ${raw.length} octets`));
  }
  const half = raw.length / 2;
  return sequence(unsignedInteger(raw.subarray(0, half)), unsignedInteger(raw.subarray(half)));
}

function decrypt(on: TokenSession, key: KeyHandle, scheme: KeyTransportScheme, encrypted: Buffer): Buffer {
  requireType(key, 'rsa');
  // RFC 8017 §7.1.2 step 1b, §7.2.2 step 1.
  if (encrypted.length !== key.octets) throw new FailureError(decryptFailed('length of the encrypted key'));
  switch (scheme.kind) {
    case 'rsa-pkcs1':
      return decryptWith(on, key, { mechanism: pkcs11.CKM_RSA_PKCS }, encrypted);
    case 'rsa-oaep':
      return decryptOaep(on, key, scheme, encrypted);
    default:
      return unreachable(scheme);
  }
}

/** By the token where it can (SoftHSM: SHA-1 only), else the bare RSA operation by the token and the padding here. */
function decryptOaep(
  on: TokenSession,
  key: KeyHandle,
  scheme: Extract<KeyTransportScheme, { kind: 'rsa-oaep' }>,
  encrypted: Buffer,
): Buffer {
  const bareOffered = on.mechanisms.has(pkcs11.CKM_RSA_X_509);
  // SoftHSM ignores a label instead of refusing it.
  const byToken = on.mechanisms.has(pkcs11.CKM_RSA_PKCS_OAEP) && (scheme.label.length === 0 || !bareOffered);
  if (byToken) {
    try {
      return decryptWith(
        on,
        key,
        {
          mechanism: pkcs11.CKM_RSA_PKCS_OAEP,
          parameter: {
            type: pkcs11.CK_PARAMS_RSA_OAEP,
            hashAlg: HASHES[scheme.digest].mechanism,
            mgf: HASHES[scheme.maskDigest].mask,
            source: CKZ_DATA_SPECIFIED,
            ...(scheme.label.length === 0 ? {} : { sourceData: Buffer.from(scheme.label) }),
          } as pkcs11.RsaOAEP,
        },
        encrypted,
      );
    } catch (error) {
      if (!isRefusal(error) || !bareOffered) throw error;
    }
  }
  const bare = decryptWith(on, key, { mechanism: pkcs11.CKM_RSA_X_509 }, encrypted);
  // Some modules drop leading zeros.
  const encoded = Buffer.concat([Buffer.alloc(Math.max(0, key.octets - bare.length)), bare]);
  const message = decodeOaep(encoded, scheme.digest, scheme.maskDigest, scheme.label);
  if (message === null) throw new FailureError(decryptFailed('OAEP'));
  return message;
}

function decryptWith(on: TokenSession, key: KeyHandle, mechanism: pkcs11.Mechanism, input: Buffer): Buffer {
  on.module.C_DecryptInit(on.session, mechanism, Buffer.from(key.object));
  if (key.alwaysAuthenticate) on.authenticate();
  return Buffer.from(on.module.C_Decrypt(on.session, input, Buffer.alloc(key.octets + 64)));
}

/** ECDH without a KDF (PKCS#11 v2.40, CKM_ECDH1_DERIVE): Z is the x-coordinate, `secretOctets` long. */
function agree(on: TokenSession, key: KeyHandle, point: Buffer, secretOctets: number): Buffer {
  requireType(key, 'ec');
  let derived: Buffer;
  try {
    derived = derive(on, key, point, secretOctets);
  } catch (error) {
    // CK_ECDH1_DERIVE_PARAMS: a token takes the point bare or as DER OCTET STRING; it says so by refusing the other.
    const other =
      isReturnValue(error, pkcs11.CKR_MECHANISM_PARAM_INVALID) ||
      isReturnValue(error, pkcs11.CKR_ARGUMENTS_BAD);
    if (!other) throw error;
    derived = derive(on, key, wrappedPoint(point), secretOctets);
  }
  try {
    const value = on.module.C_GetAttributeValue(on.session, derived, [{ type: pkcs11.CKA_VALUE }])[0]?.value;
    if (value?.length !== secretOctets) throw new FailureError(refused('a shared secret of another length'));
    return value;
  } finally {
    on.module.C_DestroyObject(on.session, derived);
  }
}

function derive(on: TokenSession, key: KeyHandle, publicData: Buffer, secretOctets: number): Buffer {
  const parameter: pkcs11.ECDH1 = { type: pkcs11.CK_PARAMS_EC_DH, kdf: CKD_NULL, publicData };
  return on.module.C_DeriveKey(
    on.session,
    { mechanism: pkcs11.CKM_ECDH1_DERIVE, parameter },
    Buffer.from(key.object),
    [
      { type: pkcs11.CKA_TOKEN, value: false },
      { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
      { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_GENERIC_SECRET },
      { type: pkcs11.CKA_SENSITIVE, value: false },
      { type: pkcs11.CKA_EXTRACTABLE, value: true },
      { type: pkcs11.CKA_VALUE_LEN, value: secretOctets },
    ],
  );
}

function wrappedPoint(point: Buffer): Buffer {
  const header = point.length < 0x80 ? [0x04, point.length] : [0x04, 0x81, point.length];
  return Buffer.concat([Buffer.from(header), point]);
}

function requireType(key: KeyHandle, type: KeyHandle['type']): void {
  if (key.type !== type) throw new FailureError(refused(`a ${key.type} key for an ${type} operation`));
}

/** CK_RSA_PKCS_OAEP_SOURCE_TYPE of PKCS#11 v2.40. */
const CKZ_DATA_SPECIFIED = 1;
/** CK_EC_KDF_TYPE of PKCS#11 v2.40. */
const CKD_NULL = 1;

const HASHES: Readonly<Record<DigestName, { mechanism: number; mask: number }>> = {
  sha1: { mechanism: pkcs11.CKM_SHA_1, mask: pkcs11.CKG_MGF1_SHA1 },
  sha224: { mechanism: pkcs11.CKM_SHA224, mask: pkcs11.CKG_MGF1_SHA224 },
  sha256: { mechanism: pkcs11.CKM_SHA256, mask: pkcs11.CKG_MGF1_SHA256 },
  sha384: { mechanism: pkcs11.CKM_SHA384, mask: pkcs11.CKG_MGF1_SHA384 },
  sha512: { mechanism: pkcs11.CKM_SHA512, mask: pkcs11.CKG_MGF1_SHA512 },
};

import pkcs11 from 'pkcs11js';
import type { DigestName, KeyTransportScheme, SignatureScheme } from '../../cms/keys.ts';
import { isReturnValue, returnValueOf } from './pkcs11-errors.ts';
import { CKD_NULL, CKZ_DATA_SPECIFIED } from './pkcs11-numbers.ts';

/** One operation of one key, as PKCS#11 has it. All throw what pkcs11js throws. */

export type KeyUse = {
  module: pkcs11.PKCS11;
  session: Buffer;
  object: Buffer;
  /** Called when the token has accepted the mechanism for the key, ahead of the octets. */
  begun(): void;
  /** Sends the PIN, if this key asks for it at each use. Called at the one place where the token takes it. */
  authenticate(): void;
};

/** Longer than what any key gives back by more than any padding. */
const ROOM = 64;

/** @param most octets of the longest signature */
export function sign(use: KeyUse, mechanism: pkcs11.Mechanism, input: Buffer, most: number): Buffer {
  use.module.C_SignInit(use.session, mechanism, use.object);
  use.begun();
  use.authenticate();
  // An empty message is octets too, and no null pointer.
  const message = input.length === 0 ? Buffer.alloc(1).subarray(0, 0) : input;
  // A copy: pkcs11js gives a view of the buffer that is passed.
  return Buffer.from(use.module.C_Sign(use.session, message, Buffer.alloc(most + ROOM)));
}

/** @param most octets of the longest result */
export function decrypt(use: KeyUse, mechanism: pkcs11.Mechanism, input: Buffer, most: number): Buffer {
  use.module.C_DecryptInit(use.session, mechanism, use.object);
  use.begun();
  use.authenticate();
  const room = Buffer.alloc(most + ROOM);
  const result = Buffer.from(use.module.C_Decrypt(use.session, input, room));
  room.fill(0);
  return result;
}

/** C_UnwrapKey into an object of this session only, whose value is read. null: the token does not show it. */
export function unwrap(use: KeyUse, mechanism: pkcs11.Mechanism, input: Buffer): Buffer | null {
  const { module, session, object } = use;
  const unwrapped = authenticated(use, () =>
    module.C_UnwrapKey(session, mechanism, object, input, secretOf(null)),
  );
  return takeValue(module, session, unwrapped);
}

/**
 * ECDH without a KDF (PKCS#11 v2.40, CKM_ECDH1_DERIVE): Z is the x-coordinate. null: the token does not show it.
 *
 * @param point of the other side, checked
 * @param octets of the shared secret
 */
export function derive(use: KeyUse, mechanism: number, point: Buffer, octets: number): Buffer | null {
  const object = authenticated(use, () => {
    try {
      return deriveObject(use, mechanism, point, octets);
    } catch (error) {
      // CK_ECDH1_DERIVE_PARAMS: a token takes the point bare or as DER OCTET STRING; it says so by refusing the other.
      if (!mayBeTheEncoding(error)) throw error;
      try {
        return deriveObject(use, mechanism, wrappedPoint(point), octets);
      } catch (second) {
        throw mayBeTheEncoding(second) ? error : second;
      }
    }
  });
  return takeValue(use.module, use.session, object);
}

/**
 * An operation of one call has no place between its start and its end; where the token wants the PIN for it, it says so, and
 * the PIN goes first.
 */
function authenticated(use: KeyUse, operation: () => pkcs11.Handle): pkcs11.Handle {
  try {
    return operation();
  } catch (error) {
    if (!isReturnValue(error, pkcs11.CKR_USER_NOT_LOGGED_IN)) throw error;
    use.authenticate();
    return operation();
  }
}

function mayBeTheEncoding(error: unknown): boolean {
  const value = returnValueOf(error);
  return value !== null && ENCODING.has(value.code);
}

const ENCODING: ReadonlySet<number> = new Set([
  pkcs11.CKR_MECHANISM_PARAM_INVALID,
  pkcs11.CKR_ARGUMENTS_BAD,
  pkcs11.CKR_DATA_INVALID,
  pkcs11.CKR_DATA_LEN_RANGE,
  pkcs11.CKR_PUBLIC_KEY_INVALID,
  pkcs11.CKR_DOMAIN_PARAMS_INVALID,
  pkcs11.CKR_GENERAL_ERROR,
  pkcs11.CKR_FUNCTION_FAILED,
]);

function deriveObject(use: KeyUse, mechanism: number, publicData: Buffer, octets: number): pkcs11.Handle {
  const parameter: pkcs11.ECDH1 = { type: pkcs11.CK_PARAMS_EC_DH, kdf: CKD_NULL, publicData };
  return use.module.C_DeriveKey(use.session, { mechanism, parameter }, use.object, secretOf(octets));
}

function secretOf(octets: number | null): pkcs11.Template {
  return [
    { type: pkcs11.CKA_TOKEN, value: false },
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_GENERIC_SECRET },
    { type: pkcs11.CKA_SENSITIVE, value: false },
    { type: pkcs11.CKA_EXTRACTABLE, value: true },
    ...(octets === null ? [] : [{ type: pkcs11.CKA_VALUE_LEN, value: octets }]),
  ];
}

function takeValue(module: pkcs11.PKCS11, session: Buffer, object: pkcs11.Handle): Buffer | null {
  try {
    const value = module.C_GetAttributeValue(session, object, [{ type: pkcs11.CKA_VALUE }])[0]?.value;
    return value ?? null;
  } catch (error) {
    if (HIDDEN.has(returnValueOf(error)?.code)) return null;
    throw error;
  } finally {
    module.C_DestroyObject(session, object);
  }
}

const HIDDEN: ReadonlySet<number | undefined> = new Set([
  pkcs11.CKR_ATTRIBUTE_SENSITIVE,
  pkcs11.CKR_ATTRIBUTE_TYPE_INVALID,
]);

function wrappedPoint(point: Buffer): Buffer {
  const header = point.length < 0x80 ? [0x04, point.length] : [0x04, 0x81, point.length];
  return Buffer.concat([Buffer.from(header), point]);
}

/** CK_RSA_PKCS_PSS_PARAMS. @param mechanism CKM_RSA_PKCS_PSS, or one that hashes as well */
export function pssMechanism(
  mechanism: number,
  scheme: Extract<SignatureScheme, { kind: 'rsa-pss' }>,
): pkcs11.Mechanism {
  const parameter: pkcs11.RsaPSS = {
    type: pkcs11.CK_PARAMS_RSA_PSS,
    hashAlg: HASHES[scheme.digest].mechanism,
    mgf: HASHES[scheme.digest].mask,
    saltLen: scheme.saltOctets,
  };
  return { mechanism, parameter };
}

/** CK_RSA_PKCS_OAEP_PARAMS. */
export function oaepMechanism(scheme: Extract<KeyTransportScheme, { kind: 'rsa-oaep' }>): pkcs11.Mechanism {
  const parameter: pkcs11.RsaOAEP = {
    type: pkcs11.CK_PARAMS_RSA_OAEP,
    hashAlg: HASHES[scheme.digest].mechanism,
    mgf: HASHES[scheme.maskDigest].mask,
    source: CKZ_DATA_SPECIFIED,
    ...(scheme.label.length === 0 ? {} : { sourceData: Buffer.from(scheme.label) }),
  };
  return { mechanism: pkcs11.CKM_RSA_PKCS_OAEP, parameter };
}

const HASHES: Readonly<Record<DigestName, { mechanism: number; mask: number }>> = {
  sha1: { mechanism: pkcs11.CKM_SHA_1, mask: pkcs11.CKG_MGF1_SHA1 },
  sha224: { mechanism: pkcs11.CKM_SHA224, mask: pkcs11.CKG_MGF1_SHA224 },
  sha256: { mechanism: pkcs11.CKM_SHA256, mask: pkcs11.CKG_MGF1_SHA256 },
  sha384: { mechanism: pkcs11.CKM_SHA384, mask: pkcs11.CKG_MGF1_SHA384 },
  sha512: { mechanism: pkcs11.CKM_SHA512, mask: pkcs11.CKG_MGF1_SHA512 },
};

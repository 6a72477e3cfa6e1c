import {
  constants,
  createPublicKey,
  createVerify,
  type KeyObject,
  type VerifyKeyObjectInput,
  verify as verifyNow,
} from 'node:crypto';
import * as der from '../asn1/writer.ts';
import { unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import type { SizedOctets } from '../octets/source.ts';
import { parseSubjectPublicKeyInfo } from '../pki/public-key.ts';
import { signatureAlgorithm, type VerifiableScheme } from './signatures.ts';

/** Key types of node:crypto by scheme: a key never serves another algorithm than its own. */
const KEY_TYPES: Record<VerifiableScheme['kind'], readonly string[]> = {
  'rsa-pkcs1': ['rsa'],
  'rsa-pss': ['rsa', 'rsa-pss'],
  ecdsa: ['ec'],
  dsa: ['dsa'],
  eddsa: ['ed25519', 'ed448'],
  'ml-dsa': ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'],
};

/** Whether `signature` is one over `data` by the holder of `key`. Never throws: what cannot be verified is not good. */
export function verifyScheme(
  scheme: VerifiableScheme,
  data: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  if (!isKeyFor(scheme, key)) return false;
  return unlessImpossible(() => {
    const settings = verificationSettings(scheme, key);
    return verifyNow(settings.digest, data, settings.key, signature);
  });
}

/**
 * The same over data that comes in pieces.
 *
 * @returns null: the scheme needs all data at once, and there is more than `limits.cms.bareContentOctets`
 * @throws what the data's source throws
 */
export async function verifySchemeOfStream(
  scheme: VerifiableScheme,
  data: SizedOctets,
  key: KeyObject,
  signature: Uint8Array,
): Promise<boolean | null> {
  if (!isKeyFor(scheme, key)) return false;
  if (scheme.kind === 'eddsa' || scheme.kind === 'ml-dsa') {
    if (data.length > limits.cms.bareContentOctets) return null;
    const octets: Buffer[] = [];
    for await (const chunk of data.read()) octets.push(chunk);
    return verifyScheme(scheme, Buffer.concat(octets), key, signature);
  }
  const verification = createVerify(scheme.digest);
  for await (const chunk of data.read()) verification.update(chunk);
  return unlessImpossible(() => verification.verify(verificationSettings(scheme, key).key, signature));
}

function isKeyFor(scheme: VerifiableScheme, key: KeyObject): boolean {
  const type = key.asymmetricKeyType ?? '';
  if (!KEY_TYPES[scheme.kind].includes(type)) return false;
  if (scheme.kind === 'eddsa') return type === scheme.curve.toLowerCase();
  if (scheme.kind === 'ml-dsa') return type === scheme.parameterSet.toLowerCase();
  return true;
}

function verificationSettings(
  scheme: VerifiableScheme,
  key: KeyObject,
): { digest: string | null; key: VerifyKeyObjectInput } {
  switch (scheme.kind) {
    case 'rsa-pkcs1':
      return { digest: scheme.digest, key: { key, padding: constants.RSA_PKCS1_PADDING } };
    case 'rsa-pss': {
      const { digest, saltOctets: saltLength } = scheme;
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      return { digest, key: { key: withMaskDigest(key, scheme), padding, saltLength } };
    }
    case 'ecdsa':
    case 'dsa':
      return { digest: scheme.digest, key: { key, dsaEncoding: 'der' } };
    case 'eddsa':
    case 'ml-dsa':
      return { digest: null, key: { key } };
    default:
      return unreachable(scheme);
  }
}

function unlessImpossible(verify: () => boolean): boolean {
  try {
    return verify();
  } catch {
    // OpenSSL reports some impossible signatures (wrong length, salt longer than the key) by an error.
    return false;
  }
}

/**
 * An RSA key for MGF1 with another digest than the message's. node:crypto has no such setting, but takes it from a key
 * that is restricted to it (RFC 4055 §1.2). A key that is restricted already stays as it is.
 */
function withMaskDigest(key: KeyObject, scheme: VerifiableScheme & { kind: 'rsa-pss' }): KeyObject {
  if (scheme.maskDigest === scheme.digest || key.asymmetricKeyType !== 'rsa') return key;
  const { subjectPublicKey } = parseSubjectPublicKeyInfo(key.export({ type: 'spki', format: 'der' }));
  const restricted = der.sequence(
    signatureAlgorithm(scheme, scheme.maskDigest),
    der.bitString(subjectPublicKey),
  );
  return createPublicKey({ key: restricted, format: 'der', type: 'spki' });
}

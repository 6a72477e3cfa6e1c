import { constants, type KeyObject, verify } from 'node:crypto';
import { SealgateError, unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import {
  type CertificateSignatureScheme,
  certificateSignatureScheme,
  isLegacyScheme,
} from './signature-algorithm.ts';
import type { WorkingKey } from './working-key.ts';

/** What a signature of a CA or a responder stands under: a certificate, a CRL, an OCSP response. */
export type SignedOctets = Pick<Certificate, 'tbs' | 'signatureAlgorithm' | 'signature' | 'fingerprint'>;

/**
 * Whether a key has signed a certificate.
 *
 * `legacy`: the signature is good, but SHA-1 or a key of less than 2048 bits carries it, and that proves little.
 * `unsupported`: an algorithm outside the table, or a key that does not go with it; never taken for good.
 */
export type SignatureVerdict = 'good' | 'legacy' | 'bad' | 'unsupported';

/** How many signatures may still be verified anew. Remembered verdicts take nothing from it. */
export type SignatureBudget = { left: number };

const MIN_MODULUS_BITS = 2048;

/** Curves of RFC 5480 and RFC 5639 from 256 bits on, by the names of node:crypto. */
const CURVES: ReadonlySet<string> = new Set([
  'prime256v1',
  'secp384r1',
  'secp521r1',
  'brainpoolP256r1',
  'brainpoolP320r1',
  'brainpoolP384r1',
  'brainpoolP512r1',
  'brainpoolP256t1',
  'brainpoolP320t1',
  'brainpoolP384t1',
  'brainpoolP512t1',
]);

/**
 * Verdicts, the least recently used leave first. The name of an entry holds the whole key and all that is signed
 * (both by SHA-256), and a verdict on octets never changes, so nothing here can become wrong.
 */
const remembered = new Map<string, SignatureVerdict>();

/**
 * The verdict on `signed` with `key`; null: the budget is used up.
 */
export function certificateSignature(
  signed: SignedOctets,
  key: WorkingKey,
  budget: SignatureBudget,
): SignatureVerdict | null {
  const entry = `${key.id}${signed.fingerprint}`;
  const known = remembered.get(entry);
  if (known !== undefined) {
    remembered.delete(entry);
    remembered.set(entry, known);
    return known;
  }
  if (budget.left <= 0) return null;
  budget.left--;
  const verdict = judge(signed, key);
  if (remembered.size >= limits.pki.rememberedSignatures) {
    const [oldest] = remembered.keys();
    if (oldest !== undefined) remembered.delete(oldest);
  }
  remembered.set(entry, verdict);
  return verdict;
}

function judge(signed: SignedOctets, key: WorkingKey): SignatureVerdict {
  try {
    const scheme = certificateSignatureScheme(signed.signatureAlgorithm);
    if (scheme === null) return 'unsupported';
    const keyObject = key.keyObject();
    const strength = keyStrength(keyObject, scheme);
    if (strength === 'unsupported') return 'unsupported';
    if (!verifies(signed, keyObject, scheme)) return 'bad';
    return strength === 'weak' || isLegacyScheme(scheme) ? 'legacy' : 'good';
  } catch (error) {
    // A key or an algorithm identifier that cannot be read proves nothing.
    if (error instanceof SealgateError) return 'unsupported';
    throw error;
  }
}

/** The key must be of the kind that the algorithm names: node:crypto would quietly use another one. */
function keyStrength(key: KeyObject, scheme: CertificateSignatureScheme): 'strong' | 'weak' | 'unsupported' {
  const type = key.asymmetricKeyType;
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  const bySize = bits >= MIN_MODULUS_BITS ? 'strong' : 'weak';
  switch (scheme.kind) {
    case 'rsa-pkcs1':
      return type === 'rsa' ? bySize : 'unsupported';
    case 'rsa-pss':
      return type === 'rsa' || type === 'rsa-pss' ? bySize : 'unsupported';
    case 'dsa':
      return type === 'dsa' ? bySize : 'unsupported';
    case 'ecdsa':
      return type === 'ec' && CURVES.has(key.asymmetricKeyDetails?.namedCurve ?? '')
        ? 'strong'
        : 'unsupported';
    case 'pure':
      return type === scheme.keyType ? 'strong' : 'unsupported';
    default:
      return unreachable(scheme);
  }
}

function verifies(signed: SignedOctets, key: KeyObject, scheme: CertificateSignatureScheme): boolean {
  const { tbs, signature } = signed;
  switch (scheme.kind) {
    case 'rsa-pkcs1':
      return verify(scheme.digest, tbs, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
    case 'rsa-pss': {
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      return verifyQuietly(() =>
        verify(scheme.digest, tbs, { key, padding, saltLength: scheme.saltOctets }, signature),
      );
    }
    case 'ecdsa':
    case 'dsa':
      return verify(scheme.digest, tbs, { key, dsaEncoding: 'der' }, signature);
    case 'pure':
      return verify(null, tbs, key, signature);
    default:
      return unreachable(scheme);
  }
}

/** A key of type rsa-pss carries restrictions of its own (RFC 4055 §3.3), and OpenSSL throws where they are broken. */
function verifyQuietly(check: () => boolean): boolean {
  try {
    return check();
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_OSSL')) return false;
    throw error;
  }
}

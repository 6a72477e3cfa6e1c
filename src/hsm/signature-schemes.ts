import type { SignatureScheme } from '../cms/keys.ts';
import type { Certificate } from '../pki/certificate.ts';
import { curveByName } from '../pki/curves.ts';

/**
 * The schemes a key of a certificate can be used with, most preferred first. RSA with PKCS#1 v1.5 stands before
 * PSS because every reader of S/MIME knows it (RFC 8551 §2.2); nothing weaker than SHA-256 is ever offered.
 */

const RSA_PKCS1: readonly SignatureScheme[] = [
  { kind: 'rsa-pkcs1', digest: 'sha256' },
  { kind: 'rsa-pkcs1', digest: 'sha384' },
  { kind: 'rsa-pkcs1', digest: 'sha512' },
];

/** RFC 4055 §3.1: the salt as long as the digest. */
const RSA_PSS: readonly SignatureScheme[] = [
  { kind: 'rsa-pss', digest: 'sha256', saltOctets: 32 },
  { kind: 'rsa-pss', digest: 'sha384', saltOctets: 48 },
  { kind: 'rsa-pss', digest: 'sha512', saltOctets: 64 },
];

const ECDSA_256: SignatureScheme = { kind: 'ecdsa', digest: 'sha256' };
const ECDSA_384: SignatureScheme = { kind: 'ecdsa', digest: 'sha384' };
const ECDSA_512: SignatureScheme = { kind: 'ecdsa', digest: 'sha512' };

/** RFC 9882. */
const ML_DSA = new Map<string | undefined, SignatureScheme>([
  ['ml-dsa-44', { kind: 'ml-dsa', parameterSet: 'ML-DSA-44' }],
  ['ml-dsa-65', { kind: 'ml-dsa', parameterSet: 'ML-DSA-65' }],
  ['ml-dsa-87', { kind: 'ml-dsa', parameterSet: 'ML-DSA-87' }],
]);

/**
 * Empty: not a key for signatures.
 *
 * @param postQuantum whether ML-DSA is offered: few readers can verify it yet
 */
export function signatureSchemes(
  certificate: Pick<Certificate, 'publicKey'>,
  postQuantum = false,
): readonly SignatureScheme[] {
  const key = certificate.publicKey;
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return [...RSA_PKCS1, ...RSA_PSS];
    case 'rsa-pss':
      return RSA_PSS;
    case 'ec': {
      const octets = curveByName(key.asymmetricKeyDetails?.namedCurve)?.octets;
      if (octets === undefined) return [];
      // The digest that matches the curve's strength first (RFC 5753 §8).
      if (octets <= 32) return [ECDSA_256, ECDSA_384, ECDSA_512];
      return octets <= 48 ? [ECDSA_384, ECDSA_512, ECDSA_256] : [ECDSA_512, ECDSA_384, ECDSA_256];
    }
    case 'ed25519':
      return [{ kind: 'eddsa', curve: 'Ed25519' }];
    case 'ed448':
      return [{ kind: 'eddsa', curve: 'Ed448' }];
    default: {
      const scheme = postQuantum ? ML_DSA.get(key.asymmetricKeyType) : undefined;
      return scheme === undefined ? [] : [scheme];
    }
  }
}

/** Whether `scheme` is one of `schemes`, parameters included. */
export function includesScheme(schemes: readonly SignatureScheme[], scheme: SignatureScheme): boolean {
  return schemes.some((each) => {
    if (each.kind === 'ml-dsa' || scheme.kind === 'ml-dsa') {
      return each.kind === 'ml-dsa' && scheme.kind === 'ml-dsa' && each.parameterSet === scheme.parameterSet;
    }
    if (each.kind === 'eddsa' || scheme.kind === 'eddsa') {
      return each.kind === 'eddsa' && scheme.kind === 'eddsa' && each.curve === scheme.curve;
    }
    if (each.digest !== scheme.digest) return false;
    if (each.kind === 'rsa-pss' && scheme.kind === 'rsa-pss') return each.saltOctets === scheme.saltOctets;
    return each.kind === scheme.kind;
  });
}

import { type KeyObject, randomBytes } from 'node:crypto';
import * as der from '../asn1/writer.ts';
import { unreachable } from '../errors.ts';
import { keyIdentifier } from './key-identifier.ts';
import {
  basicConstraints,
  type RequestedSubject,
  requestedExtensions,
  subjectKeyIdentifier,
  subjectName,
} from './requested-subject.ts';
import { type CertificateSignatureScheme, writeSignatureAlgorithm } from './signature-algorithm.ts';

/** PKCS#10 certificate requests (RFC 2986), and certificates that a key issues for itself (RFC 5280 §4.1). */

export type { RequestedSubject };

type RequestDigest = 'sha256' | 'sha384' | 'sha512';

/** How the request is signed; each member is one of SignatureScheme in cms/keys.ts. */
export type RequestScheme =
  | { kind: 'rsa-pkcs1'; digest: RequestDigest }
  | { kind: 'ecdsa'; digest: RequestDigest }
  | { kind: 'rsa-pss'; digest: RequestDigest; saltOctets: number }
  | { kind: 'eddsa'; curve: 'Ed25519' | 'Ed448' }
  | { kind: 'ml-dsa'; parameterSet: 'ML-DSA-44' | 'ML-DSA-65' | 'ML-DSA-87' };

/** A private key, wherever it is. */
export type RequestSigner = {
  publicKey: KeyObject;
  scheme: RequestScheme;
  /** Over `data` itself, not hashed yet. ECDSA as DER Ecdsa-Sig-Value. */
  sign(scheme: RequestScheme, data: Uint8Array): Promise<Buffer>;
};

/** The usual scheme for a key; null: a key that signs nothing, for which nobody can ask like this. */
export function requestSchemeFor(key: KeyObject): RequestScheme | null {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return { kind: 'rsa-pkcs1', digest: 'sha256' };
    case 'rsa-pss':
      return { kind: 'rsa-pss', digest: 'sha256', saltOctets: 32 };
    case 'ec': {
      const curve = key.asymmetricKeyDetails?.namedCurve ?? '';
      const digest = /521|512/.test(curve) ? 'sha512' : curve.includes('384') ? 'sha384' : 'sha256';
      return { kind: 'ecdsa', digest };
    }
    case 'ed25519':
      return { kind: 'eddsa', curve: 'Ed25519' };
    case 'ed448':
      return { kind: 'eddsa', curve: 'Ed448' };
    case 'ml-dsa-44':
      return { kind: 'ml-dsa', parameterSet: 'ML-DSA-44' };
    case 'ml-dsa-65':
      return { kind: 'ml-dsa', parameterSet: 'ML-DSA-65' };
    case 'ml-dsa-87':
      return { kind: 'ml-dsa', parameterSet: 'ML-DSA-87' };
    default:
      return null;
  }
}

/** RFC 2985 §5.4.2. */
const oidExtensionRequest = '1.2.840.113549.1.9.14';

/** @returns DER of CertificationRequest @throws SealgateError `pki.request-unusable`, and those of the key */
export async function certificateRequest(subject: RequestedSubject, signer: RequestSigner): Promise<Buffer> {
  const extensions = der.sequence(...requestedExtensions(subject, signer.publicKey));
  const attribute = der.sequence(der.oid(oidExtensionRequest), der.setOf([extensions]));
  const info = der.sequence(
    der.integer(0),
    subjectName(subject),
    signer.publicKey.export({ type: 'spki', format: 'der' }),
    der.implicitConstructed(0, attribute),
  );
  return await signed(info, signer);
}

/** RFC 5280 §4.1.2.2: at most 20 octets, positive. */
const SERIAL_OCTETS = 16;
const DAY_MS = 86_400_000;

/**
 * For places that need a certificate to begin with; nobody else trusts it.
 *
 * @param validity `days` from `from` on
 * @returns DER of Certificate
 * @throws SealgateError `pki.request-unusable`, and those of the key
 */
export async function selfSignedCertificate(
  subject: RequestedSubject,
  signer: RequestSigner,
  { days, from }: { days: number; from: Date },
): Promise<Buffer> {
  if (!Number.isInteger(days) || days < 1 || days > 36_500) throw new RangeError(`${days} days`);
  const publicKey = signer.publicKey.export({ type: 'spki', format: 'der' });
  const name = subjectName(subject);
  const serial = randomBytes(SERIAL_OCTETS);
  // Neither negative nor with an octet too many.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const extensions = [
    basicConstraints(),
    ...requestedExtensions(subject, signer.publicKey),
    subjectKeyIdentifier(keyIdentifier(publicKey)),
  ];
  const toBeSigned = der.sequence(
    der.explicit(0, der.integer(2)),
    der.unsignedInteger(serial),
    writeSignatureAlgorithm(identified(signer.scheme)),
    name,
    der.sequence(der.time(from), der.time(new Date(from.getTime() + days * DAY_MS))),
    name,
    publicKey,
    der.explicit(3, der.sequence(...extensions)),
  );
  return await signed(toBeSigned, signer);
}

async function signed(octets: Buffer, { scheme, sign }: RequestSigner): Promise<Buffer> {
  const algorithm = writeSignatureAlgorithm(identified(scheme));
  return der.sequence(octets, algorithm, der.bitString(await sign(scheme, octets)));
}

function identified(scheme: RequestScheme): CertificateSignatureScheme {
  switch (scheme.kind) {
    case 'rsa-pkcs1':
    case 'rsa-pss':
    case 'ecdsa':
      return scheme;
    case 'eddsa':
      return { kind: 'pure', keyType: scheme.curve === 'Ed25519' ? 'ed25519' : 'ed448' };
    case 'ml-dsa':
      return { kind: 'pure', keyType: ML_DSA[scheme.parameterSet] };
    default:
      return unreachable(scheme);
  }
}

const ML_DSA = { 'ML-DSA-44': 'ml-dsa-44', 'ML-DSA-65': 'ml-dsa-65', 'ML-DSA-87': 'ml-dsa-87' } as const;

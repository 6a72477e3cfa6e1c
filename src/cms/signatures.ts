import type { Element } from '../asn1/element.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { smallInteger } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import { unreachable } from '../errors.ts';
import { oidDsa } from '../pki/public-key.ts';
import {
  type AlgorithmIdentifier,
  algorithmIdentifier,
  hasNoParameters,
  readAlgorithmIdentifier,
} from './algorithm-identifier.ts';
import {
  type ContentDigestName,
  contentDigest,
  digestAlgorithmWithNull,
  digestName,
  type SignatureDigestName,
  signatureDigest,
  type WrittenDigestName,
} from './digests.ts';
import type { DigestName, SignatureScheme } from './keys.ts';

/** RFC 8017 §A.1, §A.2; RFC 5754 §3; RFC 8419 §2; RFC 9882 §2. */
export const rsaEncryption = '1.2.840.113549.1.1.1';
export const mgf1 = '1.2.840.113549.1.1.8';
export const rsassaPss = '1.2.840.113549.1.1.10';

type Family = 'rsa-pkcs1' | 'ecdsa' | 'dsa';

/** Signature algorithms whose identifier names the digest. */
const WITH_DIGEST: readonly { oid: string; family: Family; digest: SignatureDigestName }[] = [
  { oid: '1.2.840.113549.1.1.5', family: 'rsa-pkcs1', digest: 'sha1' },
  { oid: '1.2.840.113549.1.1.14', family: 'rsa-pkcs1', digest: 'sha224' },
  { oid: '1.2.840.113549.1.1.11', family: 'rsa-pkcs1', digest: 'sha256' },
  { oid: '1.2.840.113549.1.1.12', family: 'rsa-pkcs1', digest: 'sha384' },
  { oid: '1.2.840.113549.1.1.13', family: 'rsa-pkcs1', digest: 'sha512' },
  { oid: '1.2.840.10045.4.1', family: 'ecdsa', digest: 'sha1' },
  { oid: '1.2.840.10045.4.3.1', family: 'ecdsa', digest: 'sha224' },
  { oid: '1.2.840.10045.4.3.2', family: 'ecdsa', digest: 'sha256' },
  { oid: '1.2.840.10045.4.3.3', family: 'ecdsa', digest: 'sha384' },
  { oid: '1.2.840.10045.4.3.4', family: 'ecdsa', digest: 'sha512' },
  { oid: '2.16.840.1.101.3.4.3.13', family: 'rsa-pkcs1', digest: 'sha3-224' },
  { oid: '2.16.840.1.101.3.4.3.14', family: 'rsa-pkcs1', digest: 'sha3-256' },
  { oid: '2.16.840.1.101.3.4.3.15', family: 'rsa-pkcs1', digest: 'sha3-384' },
  { oid: '2.16.840.1.101.3.4.3.16', family: 'rsa-pkcs1', digest: 'sha3-512' },
  { oid: '2.16.840.1.101.3.4.3.9', family: 'ecdsa', digest: 'sha3-224' },
  { oid: '2.16.840.1.101.3.4.3.10', family: 'ecdsa', digest: 'sha3-256' },
  { oid: '2.16.840.1.101.3.4.3.11', family: 'ecdsa', digest: 'sha3-384' },
  { oid: '2.16.840.1.101.3.4.3.12', family: 'ecdsa', digest: 'sha3-512' },
  { oid: '1.2.840.10040.4.3', family: 'dsa', digest: 'sha1' },
  { oid: '2.16.840.1.101.3.4.3.1', family: 'dsa', digest: 'sha224' },
  { oid: '2.16.840.1.101.3.4.3.2', family: 'dsa', digest: 'sha256' },
];

/** Keys named in place of the signature algorithm: the digest is that of the content. */
const OF_KEY = new Map<string, 'rsa-pkcs1' | 'dsa'>([
  [rsaEncryption, 'rsa-pkcs1'],
  [oidDsa, 'dsa'],
]);

const EDWARDS: readonly { oid: string; curve: 'Ed25519' | 'Ed448'; contentDigest: WrittenDigestName }[] = [
  { oid: '1.3.101.112', curve: 'Ed25519', contentDigest: 'sha512' },
  { oid: '1.3.101.113', curve: 'Ed448', contentDigest: 'shake256' },
];

type MlDsa = SignatureScheme & { kind: 'ml-dsa' };
const ML_DSA: readonly { oid: string; parameterSet: MlDsa['parameterSet'] }[] = [
  { oid: '2.16.840.1.101.3.4.3.17', parameterSet: 'ML-DSA-44' },
  { oid: '2.16.840.1.101.3.4.3.18', parameterSet: 'ML-DSA-65' },
  { oid: '2.16.840.1.101.3.4.3.19', parameterSet: 'ML-DSA-87' },
];

/** Known and refused: named in reports, never computed. */
const REFUSED = new Map([
  ['1.2.840.113549.1.1.2', 'rsa-pkcs1-md2'],
  ['1.2.840.113549.1.1.4', 'rsa-pkcs1-md5'],
]);

/** What is verified is more than what is signed: DSA, SHA-3 (RFC 9688 §3), and PSS with two digests (RFC 4055 §3.1). */
export type VerifiableScheme =
  | Extract<SignatureScheme, { kind: 'eddsa' | 'ml-dsa' }>
  | { kind: 'rsa-pkcs1' | 'ecdsa' | 'dsa'; digest: SignatureDigestName }
  | VerifiablePss;
type VerifiablePss = {
  kind: 'rsa-pss';
  digest: SignatureDigestName;
  saltOctets: number;
  maskDigest: SignatureDigestName;
};

export type ResolvedSignature =
  | { kind: 'supported'; scheme: VerifiableScheme; contentDigest: ContentDigestName; name: string }
  | { kind: 'unsupported'; name: string }
  /** The two algorithm identifiers contradict each other. */
  | { kind: 'contradictory'; name: string };

/**
 * What a SignerInfo's two algorithm identifiers ask for together (RFC 5652 §5.3).
 *
 * @throws SealgateError `asn1.malformed` for parameters that cannot be read
 */
export function resolveSignature(
  digestIdentifier: AlgorithmIdentifier,
  signature: AlgorithmIdentifier,
): ResolvedSignature {
  const digest = contentDigest(digestIdentifier);
  if (digest === null) {
    return {
      kind: 'unsupported',
      name: REFUSED.get(signature.oid) ?? `${signature.oid} with ${digestIdentifier.oid}`,
    };
  }

  const whole = resolveUnhashed(signature.oid);
  if (whole !== null) {
    // What these sign may be attributes that hold a digest of the content, and SHA-1 there would only weaken them
    // (RFC 8419 §3.1, RFC 9882 §3.3).
    const name = schemeName(whole);
    const tooWeak = digest === 'sha1' || (whole.kind === 'ml-dsa' && digest === 'sha224');
    if (!hasNoParameters(signature) || tooWeak) return { kind: 'contradictory', name };
    return { kind: 'supported', scheme: whole, contentDigest: digest, name };
  }
  if (digest === 'shake256') return { kind: 'unsupported', name: `${signature.oid} with shake256` };

  let scheme: Extract<VerifiableScheme, { digest: SignatureDigestName }>;
  const family = OF_KEY.get(signature.oid);
  if (family !== undefined) {
    scheme = { kind: family, digest };
  } else if (signature.oid === rsassaPss) {
    const pss = readPssParameters(signature.parameters);
    if (pss === null) return { kind: 'unsupported', name: 'rsa-pss' };
    scheme = pss;
  } else {
    const row = WITH_DIGEST.find((candidate) => candidate.oid === signature.oid);
    if (row === undefined) return { kind: 'unsupported', name: REFUSED.get(signature.oid) ?? signature.oid };
    scheme = { kind: row.family, digest: row.digest };
  }
  const name = schemeName(scheme);
  if (scheme.digest !== digest || (scheme.kind !== 'rsa-pss' && !hasNoParameters(signature))) {
    return { kind: 'contradictory', name };
  }
  return { kind: 'supported', scheme, contentDigest: digest, name };
}

/** Schemes that take what is signed as a whole; null: not one of them. */
function resolveUnhashed(oid: string): Extract<SignatureScheme, { kind: 'eddsa' | 'ml-dsa' }> | null {
  const edwards = EDWARDS.find((row) => row.oid === oid);
  if (edwards !== undefined) return { kind: 'eddsa', curve: edwards.curve };
  const lattice = ML_DSA.find((row) => row.oid === oid);
  return lattice === undefined ? null : { kind: 'ml-dsa', parameterSet: lattice.parameterSet };
}

/** Usual name, e.g. `rsa-pkcs1-sha256`, `rsa-pss-sha256`, `ecdsa-sha384`, `ed25519`, `ml-dsa-65`. */
export function schemeName(scheme: SignatureScheme | VerifiableScheme): string {
  switch (scheme.kind) {
    case 'eddsa':
      return scheme.curve.toLowerCase();
    case 'ml-dsa':
      return scheme.parameterSet.toLowerCase();
    default:
      return `${scheme.kind}-${scheme.digest}`;
  }
}

/** The digest of the content that goes with a scheme (RFC 5754 §3, RFC 8419 §3.1, RFC 9882 §3.3). */
export function contentDigestFor(scheme: SignatureScheme): WrittenDigestName {
  switch (scheme.kind) {
    case 'eddsa':
      return scheme.curve === 'Ed25519' ? 'sha512' : 'shake256';
    case 'ml-dsa':
      return 'sha512';
    default:
      return scheme.digest;
  }
}

/**
 * signatureAlgorithm of a SignerInfo.
 *
 * @param maskDigest for PSS; the scheme's own digest when absent
 */
export function signatureAlgorithm(
  scheme: SignatureScheme | VerifiablePss,
  maskDigest?: SignatureDigestName,
): Buffer {
  switch (scheme.kind) {
    case 'rsa-pkcs1':
      // Every reader knows this form, as the digest stands in digestAlgorithm (RFC 3370 §3.2, RFC 5754 §3.2).
      return algorithmIdentifier(rsaEncryption, der.nullValue());
    case 'rsa-pss': {
      const hash = digestAlgorithmWithNull(scheme.digest);
      const mask = algorithmIdentifier(mgf1, digestAlgorithmWithNull(maskDigest ?? scheme.digest));
      const salt = der.explicit(2, der.integer(scheme.saltOctets));
      const parameters = der.sequence(der.explicit(0, hash), der.explicit(1, mask), salt);
      return algorithmIdentifier(rsassaPss, parameters);
    }
    case 'ecdsa': {
      const row = WITH_DIGEST.find(({ family, digest }) => family === 'ecdsa' && digest === scheme.digest);
      if (row === undefined) throw new Error(`no ECDSA row for ${scheme.digest}`);
      return algorithmIdentifier(row.oid);
    }
    case 'eddsa': {
      const row = EDWARDS.find(({ curve }) => curve === scheme.curve);
      if (row === undefined) throw new Error(`no EdDSA row for ${scheme.curve}`);
      return algorithmIdentifier(row.oid);
    }
    case 'ml-dsa': {
      const row = ML_DSA.find(({ parameterSet }) => parameterSet === scheme.parameterSet);
      if (row === undefined) throw new Error(`no ML-DSA row for ${scheme.parameterSet}`);
      return algorithmIdentifier(row.oid);
    }
    default:
      return unreachable(scheme);
  }
}

/**
 * `RSASSA-PSS-params` (RFC 8017 §A.2.3), defaults: SHA-1, MGF1 with SHA-1, 20, 1. null: a combination nobody computes
 * (another mask function, another trailer).
 */
function readPssParameters(parameters: Element | null): VerifiablePss | null {
  if (parameters === null) return null;
  const reader = sequenceOf(parameters, 'BER', 'RSASSA-PSS-params');
  const hash = reader.optionalExplicit(0);
  const mask = reader.optionalExplicit(1);
  const salt = reader.optionalExplicit(2);
  const trailer = reader.optionalExplicit(3);
  reader.end();
  const digest = hash === null ? 'sha1' : signatureDigest(readAlgorithmIdentifier(hash));
  const maskDigest = readMask(mask, signatureDigest);
  const saltOctets = salt === null ? 20 : smallInteger(salt);
  if (trailer !== null && smallInteger(trailer) !== 1) return null;
  if (digest === null || maskDigest === null || saltOctets < 0 || saltOctets > 512) return null;
  return { kind: 'rsa-pss', digest, saltOctets, maskDigest };
}

/** The digest in a MaskGenAlgorithm (RFC 8017 §A.2.1); absent means MGF1 with SHA-1; null: not MGF1 or unknown. */
export function readMaskDigest(mask: Element | null): DigestName | null {
  return readMask(mask, digestName);
}

function readMask<Name extends SignatureDigestName>(
  mask: Element | null,
  nameOf: (algorithm: AlgorithmIdentifier) => Name | null,
): Name | 'sha1' | null {
  if (mask === null) return 'sha1';
  const { oid, parameters } = readAlgorithmIdentifier(mask);
  if (oid !== mgf1 || parameters === null) return null;
  return nameOf(readAlgorithmIdentifier(parameters));
}

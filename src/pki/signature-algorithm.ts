import { type Element, universal } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { type SequenceReader, sequenceOf } from '../asn1/sequence-reader.ts';
import { nullValue, objectIdentifier, smallInteger } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';

/** Digests by the names of node:crypto. MD2, MD4 and MD5 are not among them and never will be. */
type Digest = 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512';

/** How a signature of a CA is verified. `pure` algorithms hash by themselves; the key says which one it is. */
export type CertificateSignatureScheme =
  | { kind: 'rsa-pkcs1'; digest: Digest }
  | { kind: 'rsa-pss'; digest: Digest; saltOctets: number }
  | { kind: 'ecdsa'; digest: Digest }
  | { kind: 'dsa'; digest: Digest }
  | { kind: 'pure'; keyType: 'ed25519' | 'ed448' | 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87' };

type Row = CertificateSignatureScheme & { parameters: 'null-or-absent' | 'absent' };

/** RFC 3279 §2.2, RFC 4055 §5, RFC 5758 §3, RFC 8410 §3, RFC 9881. RSASSA-PSS has parameters and is read below. */
const ALGORITHMS: ReadonlyMap<string, Row> = new Map<string, Row>([
  ['1.2.840.113549.1.1.5', { kind: 'rsa-pkcs1', digest: 'sha1', parameters: 'null-or-absent' }],
  ['1.2.840.113549.1.1.14', { kind: 'rsa-pkcs1', digest: 'sha224', parameters: 'null-or-absent' }],
  ['1.2.840.113549.1.1.11', { kind: 'rsa-pkcs1', digest: 'sha256', parameters: 'null-or-absent' }],
  ['1.2.840.113549.1.1.12', { kind: 'rsa-pkcs1', digest: 'sha384', parameters: 'null-or-absent' }],
  ['1.2.840.113549.1.1.13', { kind: 'rsa-pkcs1', digest: 'sha512', parameters: 'null-or-absent' }],
  ['1.2.840.10045.4.1', { kind: 'ecdsa', digest: 'sha1', parameters: 'absent' }],
  ['1.2.840.10045.4.3.1', { kind: 'ecdsa', digest: 'sha224', parameters: 'absent' }],
  ['1.2.840.10045.4.3.2', { kind: 'ecdsa', digest: 'sha256', parameters: 'absent' }],
  ['1.2.840.10045.4.3.3', { kind: 'ecdsa', digest: 'sha384', parameters: 'absent' }],
  ['1.2.840.10045.4.3.4', { kind: 'ecdsa', digest: 'sha512', parameters: 'absent' }],
  ['1.2.840.10040.4.3', { kind: 'dsa', digest: 'sha1', parameters: 'absent' }],
  ['2.16.840.1.101.3.4.3.1', { kind: 'dsa', digest: 'sha224', parameters: 'absent' }],
  ['2.16.840.1.101.3.4.3.2', { kind: 'dsa', digest: 'sha256', parameters: 'absent' }],
  ['1.3.101.112', { kind: 'pure', keyType: 'ed25519', parameters: 'absent' }],
  ['1.3.101.113', { kind: 'pure', keyType: 'ed448', parameters: 'absent' }],
  ['2.16.840.1.101.3.4.3.17', { kind: 'pure', keyType: 'ml-dsa-44', parameters: 'absent' }],
  ['2.16.840.1.101.3.4.3.18', { kind: 'pure', keyType: 'ml-dsa-65', parameters: 'absent' }],
  ['2.16.840.1.101.3.4.3.19', { kind: 'pure', keyType: 'ml-dsa-87', parameters: 'absent' }],
]);

const DIGESTS: ReadonlyMap<string, Digest> = new Map([
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.4', 'sha224'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);

const oidRsaPss = '1.2.840.113549.1.1.10';
const oidMgf1 = '1.2.840.113549.1.1.8';
const DEFAULT_SALT_OCTETS = 20;
const MAX_SALT_OCTETS = 512;

/**
 * @param octets DER of AlgorithmIdentifier
 * @returns null for an algorithm that is not in the table, or with parameters that it must not have
 * @throws SealgateError `asn1.malformed`
 */
export function certificateSignatureScheme(octets: Buffer): CertificateSignatureScheme | null {
  const identifier = sequenceOf(readWhole(octets, 'DER'), 'DER', 'AlgorithmIdentifier');
  const oid = objectIdentifier(identifier.next('algorithm'));
  const parameters = identifier.atEnd ? null : identifier.next();
  identifier.end();
  if (oid === oidRsaPss) return parameters === null ? null : pssScheme(parameters);
  const row = ALGORITHMS.get(oid);
  if (row === undefined) return null;
  const { parameters: allowed, ...scheme } = row;
  if (parameters === null) return scheme;
  return allowed === 'null-or-absent' && isNull(parameters) ? scheme : null;
}

/** @returns DER of AlgorithmIdentifier; what `certificateSignatureScheme` reads */
export function writeSignatureAlgorithm(scheme: CertificateSignatureScheme): Buffer {
  if (scheme.kind === 'rsa-pss') {
    const hash = der.sequence(der.oid(oidOfDigest(scheme.digest)), der.nullValue());
    const parameters = der.sequence(
      der.explicit(0, hash),
      der.explicit(1, der.sequence(der.oid(oidMgf1), hash)),
      der.explicit(2, der.integer(scheme.saltOctets)),
    );
    return der.sequence(der.oid(oidRsaPss), parameters);
  }
  for (const [oid, row] of ALGORITHMS) {
    const same =
      scheme.kind === 'pure'
        ? row.kind === 'pure' && row.keyType === scheme.keyType
        : row.kind === scheme.kind && row.digest === scheme.digest;
    if (!same) continue;
    return der.sequence(der.oid(oid), ...(row.parameters === 'absent' ? [] : [der.nullValue()]));
  }
  throw new Error(`no identifier for ${scheme.kind}`);
}

function oidOfDigest(digest: Digest): string {
  for (const [oid, name] of DIGESTS) if (name === digest) return oid;
  throw new Error(`no identifier for ${digest}`);
}

/** SHA-1: collisions are made to order since 2017, so a signature over it can be moved to another certificate. */
export function isLegacyScheme(scheme: CertificateSignatureScheme): boolean {
  return scheme.kind !== 'pure' && scheme.digest === 'sha1';
}

/**
 * `RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0], maskGenAlgorithm [1], saltLength [2], trailerField [3] }`
 * (RFC 4055 §3.1), each with a SHA-1 default. MGF1 with another hash than the message's is not offered by anybody.
 */
function pssScheme(parameters: Element): CertificateSignatureScheme | null {
  const fields = sequenceOf(parameters, 'DER', 'RSASSA-PSS-params');
  const hash = fields.optionalExplicit(0);
  const mask = fields.optionalExplicit(1);
  const salt = fields.optionalExplicit(2);
  const trailer = fields.optionalExplicit(3);
  fields.end();
  const digest = hash === null ? 'sha1' : digestOf(hash);
  const maskDigest = mask === null ? 'sha1' : maskDigestOf(mask);
  const saltOctets = salt === null ? DEFAULT_SALT_OCTETS : smallInteger(salt);
  if (digest === null || digest !== maskDigest) return null;
  if (saltOctets < 0 || saltOctets > MAX_SALT_OCTETS) return null;
  if (trailer !== null && smallInteger(trailer) !== 1) return null;
  return { kind: 'rsa-pss', digest, saltOctets };
}

function maskDigestOf(element: Element): Digest | null {
  const identifier = sequenceOf(element, 'DER', 'maskGenAlgorithm');
  if (objectIdentifier(identifier.next('algorithm')) !== oidMgf1) return null;
  const digest = digestOf(identifier.next('parameters'));
  identifier.end();
  return digest;
}

function digestOf(element: Element): Digest | null {
  const identifier: SequenceReader = sequenceOf(element, 'DER', 'hashAlgorithm');
  const oid = objectIdentifier(identifier.next('algorithm'));
  if (!identifier.atEnd) nullValue(identifier.next('parameters'));
  identifier.end();
  return DIGESTS.get(oid) ?? null;
}

function isNull(element: Element): boolean {
  return (
    element.tagClass === 'universal' && element.tag === universal.nullValue && element.content.length === 0
  );
}

import { hash } from 'node:crypto';
import * as der from '../asn1/writer.ts';
import { type AlgorithmIdentifier, algorithmIdentifier, hasNoParameters } from './algorithm-identifier.ts';
import type { DigestName } from './keys.ts';

/** SHA-3 (RFC 9688): read where others use it, never written. */
type Sha3Name = 'sha3-224' | 'sha3-256' | 'sha3-384' | 'sha3-512';

/** Digests that what is signed may be hashed with. */
export type SignatureDigestName = DigestName | Sha3Name;

/** Digests of content in new messages. SHAKE256 with 512 bits only stands next to Ed448 (RFC 8419 §2.3). */
export type WrittenDigestName = DigestName | 'shake256';

/** Digests of content. */
export type ContentDigestName = SignatureDigestName | WrittenDigestName;

type DigestRow = { name: ContentDigestName; oid: string; octets: number };

/** RFC 3370 §2.1, RFC 5754 §2, RFC 8702 §3.1, RFC 9688 §2. MD5 is left out for good: RFC 6151. */
const TABLE: readonly DigestRow[] = [
  { name: 'sha1', oid: '1.3.14.3.2.26', octets: 20 },
  { name: 'sha224', oid: '2.16.840.1.101.3.4.2.4', octets: 28 },
  { name: 'sha256', oid: '2.16.840.1.101.3.4.2.1', octets: 32 },
  { name: 'sha384', oid: '2.16.840.1.101.3.4.2.2', octets: 48 },
  { name: 'sha512', oid: '2.16.840.1.101.3.4.2.3', octets: 64 },
  { name: 'sha3-224', oid: '2.16.840.1.101.3.4.2.7', octets: 28 },
  { name: 'sha3-256', oid: '2.16.840.1.101.3.4.2.8', octets: 32 },
  { name: 'sha3-384', oid: '2.16.840.1.101.3.4.2.9', octets: 48 },
  { name: 'sha3-512', oid: '2.16.840.1.101.3.4.2.10', octets: 64 },
  { name: 'shake256', oid: '2.16.840.1.101.3.4.2.12', octets: 64 },
];

const byOid = new Map(TABLE.map((row) => [row.oid, row.name]));
const byName = new Map(TABLE.map((row) => [row.name, row]));

/** id-shake256-len (RFC 8419 §2.3): its parameter is the length of the output in bits. */
const shake256Length = '2.16.840.1.101.3.4.2.18';
const SHAKE256_BITS = der.integer(512);

/** null: unknown or refused (MD5, MD2; SHAKE256 of another length). */
export function contentDigest(algorithm: AlgorithmIdentifier): ContentDigestName | null {
  if (algorithm.oid === shake256Length) {
    return algorithm.parameters?.raw.equals(SHAKE256_BITS) === true ? 'shake256' : null;
  }
  if (!hasNoParameters(algorithm)) return null;
  return byOid.get(algorithm.oid) ?? null;
}

/** The same without SHAKE256, for places that name a hash inside a signature. */
export function signatureDigest(algorithm: AlgorithmIdentifier): SignatureDigestName | null {
  const name = contentDigest(algorithm);
  return name === 'shake256' ? null : name;
}

/** The same without SHA-3, for key transport and the names of certificates. */
export function digestName(algorithm: AlgorithmIdentifier): DigestName | null {
  const name = signatureDigest(algorithm);
  switch (name) {
    case 'sha3-224':
    case 'sha3-256':
    case 'sha3-384':
    case 'sha3-512':
      return null;
    default:
      return name;
  }
}

/**
 * Parameters absent (RFC 5754 §2); for SHAKE256 the form with its length, which Ed448 wants where attributes are signed
 * (RFC 8419 §3.1).
 */
export function digestAlgorithm(name: ContentDigestName): Buffer {
  if (name === 'shake256') return algorithmIdentifier(shake256Length, SHAKE256_BITS);
  return algorithmIdentifier(digestRow(name).oid);
}

/** With NULL, as RSASSA-PSS and RSAES-OAEP parameters are written everywhere (RFC 4055 §2.1). */
export function digestAlgorithmWithNull(name: SignatureDigestName): Buffer {
  return algorithmIdentifier(digestRow(name).oid, der.nullValue());
}

export function digestOid(name: ContentDigestName): string {
  return digestRow(name).oid;
}

export function digestOctets(name: ContentDigestName): number {
  return digestRow(name).octets;
}

/** The digest of `data`. */
export function digest(name: ContentDigestName, data: Uint8Array): Buffer {
  if (name === 'shake256') return hash('shake256', data, { outputEncoding: 'buffer', outputLength: 64 });
  return hash(name, data, 'buffer');
}

function digestRow(name: ContentDigestName): DigestRow {
  const row = byName.get(name);
  if (row === undefined) throw new Error(`no digest row for ${name}`);
  return row;
}

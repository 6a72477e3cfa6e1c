import { createHash } from 'node:crypto';
import type { SequenceReader } from '../asn1/sequence-reader.ts';
import { integerOctets, nullValue, objectIdentifier, octetString } from '../asn1/values.ts';
import { integer, nullValue as nullElement, octetString as octets, oid, sequence } from '../asn1/writer.ts';
import type { Certificate } from './certificate.ts';
import { parseSubjectPublicKeyInfo } from './public-key.ts';

/** Digests of a CertID. It names a certificate by its serial number and proves nothing, so SHA-1 does no harm here. */
export type CertIdDigest = 'sha1' | 'sha256' | 'sha384' | 'sha512';

const DIGESTS: ReadonlyMap<string, CertIdDigest> = new Map([
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);

/** CertID, RFC 6960 §4.1.1. */
export type CertId = {
  /** null: an algorithm that is not in the table; the CertID matches nothing. */
  digest: CertIdDigest | null;
  issuerNameHash: Buffer;
  issuerKeyHash: Buffer;
  /** Content octets of the INTEGER. */
  serialNumber: Buffer;
};

/** @throws SealgateError `asn1.malformed` */
export function parseCertId(id: SequenceReader): CertId {
  const algorithm = id.sequence('hashAlgorithm');
  const digest = DIGESTS.get(objectIdentifier(algorithm.next('algorithm'))) ?? null;
  // Both forms of absent parameters are in use; those of an unknown algorithm mean nothing here.
  if (!algorithm.atEnd && digest !== null) nullValue(algorithm.next('parameters'));
  if (digest !== null) algorithm.end();
  const issuerNameHash = octetString(id.next('issuerNameHash'), 'DER');
  const issuerKeyHash = octetString(id.next('issuerKeyHash'), 'DER');
  const serialNumber = integerOctets(id.next('serialNumber'));
  id.end();
  return { digest, issuerNameHash, issuerKeyHash, serialNumber };
}

/**
 * RFC 6960 §4.1.1: the hash is made of the issuer's name as the certificate has it, and of the issuer's key.
 */
export function certIdMatches(id: CertId, certificate: Certificate, issuer: Certificate): boolean {
  if (id.digest === null || !id.serialNumber.equals(certificate.serialNumber)) return false;
  const hashes = issuerHashes(id.digest, certificate, issuer);
  return id.issuerNameHash.equals(hashes.name) && id.issuerKeyHash.equals(hashes.key);
}

/** DER of the CertID. */
export function writeCertId(digest: CertIdDigest, certificate: Certificate, issuer: Certificate): Buffer {
  const [dotted = ''] = [...DIGESTS].find(([, name]) => name === digest) ?? [];
  const hashes = issuerHashes(digest, certificate, issuer);
  return sequence(
    // Written with NULL as responders in use compare it, although RFC 5754 §2 wants SHA-2 without.
    sequence(oid(dotted), nullElement()),
    octets(hashes.name),
    octets(hashes.key),
    integer(certificate.serialNumber),
  );
}

function issuerHashes(digest: CertIdDigest, certificate: Certificate, issuer: Certificate) {
  const { subjectPublicKey } = parseSubjectPublicKeyInfo(issuer.subjectPublicKeyInfo);
  return {
    name: createHash(digest).update(certificate.issuer.der).digest(),
    key: createHash(digest).update(subjectPublicKey).digest(),
  };
}

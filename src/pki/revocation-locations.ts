import { sequenceOf } from '../asn1/sequence-reader.ts';
import { objectIdentifier } from '../asn1/values.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import { extensionElement } from './certificate-extensions.ts';
import type { CertificateRevocationList } from './crl.ts';
import { crlExtensionOids } from './crl-extensions.ts';
import { type DistributionPoint, parseDistributionPoints } from './distribution-point.ts';
import { parseGeneralName } from './general-name.ts';
import { malformed } from './malformed.ts';

/**
 * Where a certificate says that evidence of its revocation is published. The places are those of its issuer, as written:
 * whoever goes there judges every one of them first. What cannot be read names no place.
 */
export type RevocationLocations = {
  /** Responders (RFC 5280 §4.2.2.1, id-ad-ocsp), in the order of the certificate. */
  ocsp: readonly string[];
  /** One list for each distribution point (RFC 5280 §4.2.1.13); the URLs in it are ways to the same CRL. */
  crls: readonly (readonly string[])[];
  /** The same for delta CRLs (RFC 5280 §4.2.1.15). */
  deltas: readonly (readonly string[])[];
};

const oidAuthorityInfoAccess = '1.3.6.1.5.5.7.1.1';
const oidOcsp = '1.3.6.1.5.5.7.48.1';
/** RFC 9608. */
const oidNoRevAvail = '2.5.29.56';

const known = new WeakMap<Certificate, RevocationLocations>();

/** Read once per certificate. */
export function revocationLocations(certificate: Certificate): RevocationLocations {
  let locations = known.get(certificate);
  if (locations === undefined) {
    locations = {
      ocsp: readable(() => ocspLocations(certificate)),
      crls: readable(() => pointLocations(certificate, crlExtensionOids.cRLDistributionPoints)),
      deltas: readable(() => pointLocations(certificate, crlExtensionOids.freshestCRL)),
    };
    known.set(certificate, locations);
  }
  return locations;
}

/** Where a complete CRL says that its deltas are (RFC 5280 §5.2.6). */
export function deltaLocations(crl: CertificateRevocationList): readonly (readonly string[])[] {
  return crl.freshestPoints.map(urlsOf).filter((urls) => urls.length > 0);
}

/**
 * RFC 9608: the issuer has said that it never publishes anything about this certificate. Believed only of an end entity
 * that names no place for evidence either: with one, or for a CA, the standard forbids the extension, and then it is
 * looked for as always.
 */
export function hasNoRevocationAvailable(certificate: Certificate): boolean {
  if (!certificate.extensions.some(({ oid }) => oid === oidNoRevAvail)) return false;
  if (certificate.basicConstraints?.cA === true) return false;
  const { cRLDistributionPoints, freshestCRL } = crlExtensionOids;
  const points: readonly string[] = [cRLDistributionPoints, freshestCRL];
  if (certificate.extensions.some(({ oid }) => points.includes(oid))) return false;
  return revocationLocations(certificate).ocsp.length === 0;
}

/** `AuthorityInfoAccessSyntax ::= SEQUENCE SIZE (1..MAX) OF SEQUENCE { accessMethod OID, accessLocation GeneralName }`. */
function ocspLocations(certificate: Certificate): string[] {
  const element = extensionElement(certificate.extensions, oidAuthorityInfoAccess);
  if (element === null) return [];
  const list = sequenceOf(element, 'DER', 'authorityInfoAccess');
  const found: string[] = [];
  for (let count = 0; !list.atEnd; count++) {
    if (count >= limits.pki.distributionPoints) throw malformed('too many access descriptions');
    const description = list.sequence('an AccessDescription');
    const method = objectIdentifier(description.next('accessMethod'));
    const location = parseGeneralName(description.next('accessLocation'));
    description.end();
    if (method === oidOcsp && location.kind === 'uniformResourceIdentifier') found.push(location.text);
  }
  return found;
}

function pointLocations(certificate: Certificate, oid: string): string[][] {
  const element = extensionElement(certificate.extensions, oid);
  return element === null
    ? []
    : parseDistributionPoints(element)
        .map(urlsOf)
        .filter(({ length }) => length > 0);
}

function urlsOf({ name }: DistributionPoint): string[] {
  if (name?.kind !== 'fullName') return [];
  return name.names.flatMap((one) => (one.name.kind === 'uniformResourceIdentifier' ? [one.name.text] : []));
}

function readable<T>(read: () => readonly T[]): readonly T[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealgateError) return [];
    throw error;
  }
}

import type { Certificate } from './certificate.ts';
import { extensionElement } from './certificate-extensions.ts';
import type { CertificateRevocationList } from './crl.ts';
import { crlExtensionOids } from './crl-extensions.ts';
import {
  type DistributionPoint,
  directoryKey,
  parseDistributionPoints,
  placeKeys,
} from './distribution-point.ts';
import { sameName } from './name.ts';
import { allReasons, type ReasonMask } from './revocation-reason.ts';

/**
 * The distribution points of a certificate in the order in which RFC 5280 §6.3.3 goes through them: its own, and then
 * the one that is always there: the name of its issuer, for all reasons.
 *
 * @throws SealgateError `asn1.malformed`, `pki.malformed`
 */
export function distributionPoints(certificate: Certificate): DistributionPoint[] {
  const element = extensionElement(certificate.extensions, crlExtensionOids.cRLDistributionPoints);
  const own = element === null ? [] : parseDistributionPoints(element);
  const { issuer } = certificate;
  const name = { name: { kind: 'directoryName', name: issuer } as const, key: directoryKey(issuer) };
  return [...own, { name: { kind: 'fullName', names: [name] }, reasons: null, cRLIssuer: null }];
}

/** Whether deltas are published for this certificate (RFC 5280 §4.2.1.15). */
export function namesDeltas(certificate: Certificate): boolean {
  return certificate.extensions.some(({ oid }) => oid === crlExtensionOids.freshestCRL);
}

/**
 * The reasons for which the CRL speaks about the certificate at this distribution point: RFC 5280 §6.3.3 (b) and (d).
 * A text says why it does not, in words that follow the name of the CRL.
 */
export function reasonsInScope(
  crl: CertificateRevocationList,
  certificate: Certificate,
  point: DistributionPoint,
): ReasonMask | string {
  const idp = crl.issuingDistributionPoint;
  // (b)(1)
  if (point.cRLIssuer === null) {
    if (!sameName(crl.issuer, certificate.issuer)) return 'is of another issuer.';
  } else {
    if (!point.cRLIssuer.some(({ key }) => key === directoryKey(crl.issuer))) return 'is of another issuer.';
    if (idp?.indirectCRL !== true) return 'is not indirect, and only an indirect one may speak here.';
  }
  if (idp === null) return point.reasons ?? allReasons;
  // (b)(2)
  if (idp.name !== null && !sharesPlace(crl, point)) return 'is for another distribution point.';
  const isCa = certificate.basicConstraints?.cA === true;
  if (idp.onlyContainsUserCerts && isCa) return 'is not about certificates of CAs.';
  if (idp.onlyContainsCACerts && !isCa) return 'is only about certificates of CAs.';
  if (idp.onlyContainsAttributeCerts) return 'is only about attribute certificates.';
  return (idp.onlySomeReasons ?? allReasons) & (point.reasons ?? allReasons);
}

/** (b)(2)(i). The CRL has a name in its issuingDistributionPoint. */
function sharesPlace(crl: CertificateRevocationList, point: DistributionPoint): boolean {
  const place = crl.issuingDistributionPoint?.name;
  if (place === null || place === undefined) return true;
  const issued = placeKeys(place, crl.issuer);
  // A relative name of the certificate is relative to who issues the CRL, and (b)(1) has found that to be this one.
  const wanted =
    point.name === null ? (point.cRLIssuer ?? []).map(({ key }) => key) : placeKeys(point.name, crl.issuer);
  return wanted.some((key) => issued.includes(key));
}

/** RFC 5280 §5.2.4 and §6.3.3 (c): whether the delta brings this complete CRL up to date. */
export function isDeltaOf(delta: CertificateRevocationList, complete: CertificateRevocationList): boolean {
  return (
    delta.baseCRLNumber !== null &&
    delta.cRLNumber !== null &&
    complete.cRLNumber !== null &&
    complete.cRLNumber >= delta.baseCRLNumber &&
    complete.cRLNumber < delta.cRLNumber &&
    sameName(delta.issuer, complete.issuer) &&
    sameOctets(delta.issuingDistributionPointValue, complete.issuingDistributionPointValue) &&
    sameOctets(delta.authorityKeyIdentifier, complete.authorityKeyIdentifier)
  );
}

function sameOctets(one: Buffer | null, other: Buffer | null): boolean {
  return one === null || other === null ? one === other : one.equals(other);
}

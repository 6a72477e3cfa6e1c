import { universal } from '../asn1/element.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { timeValue } from '../asn1/times.ts';
import { bigInteger } from '../asn1/values.ts';
import { type Extension, extensionElement, extensionOids } from './certificate-extensions.ts';
import {
  type ComparableName,
  type DistributionPoint,
  type IssuingDistributionPoint,
  parseComparableNames,
  parseDistributionPoints,
  parseIssuingDistributionPoint,
} from './distribution-point.ts';
import { malformed } from './malformed.ts';
import { parseReason, type RevocationReason } from './revocation-reason.ts';

/** RFC 5280 §5.2, §5.3 and §4.2.1.13. */
export const crlExtensionOids = {
  cRLNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
  invalidityDate: '2.5.29.24',
  deltaCRLIndicator: '2.5.29.27',
  issuingDistributionPoint: '2.5.29.28',
  certificateIssuer: '2.5.29.29',
  cRLDistributionPoints: '2.5.29.31',
  freshestCRL: '2.5.29.46',
} as const;

/** What a CRL says about itself. */
export type CrlExtensions = {
  /** The whole value, for comparison only (RFC 5280 §6.3.3 (c)(3)); null: absent. */
  authorityKeyIdentifier: Buffer | null;
  cRLNumber: bigint | null;
  /** BaseCRLNumber of a delta CRL; null: the CRL is complete. */
  baseCRLNumber: bigint | null;
  issuingDistributionPoint: IssuingDistributionPoint | null;
  /** The value of issuingDistributionPoint, for comparison. */
  issuingDistributionPointValue: Buffer | null;
  /** Where deltas are published (freshestCRL, RFC 5280 §5.2.6); empty: there are none. */
  freshestPoints: readonly DistributionPoint[];
  /** OIDs of critical extensions that nothing here processes: the CRL proves nothing. */
  unknownCritical: readonly string[];
};

const PROCESSED: ReadonlySet<string> = new Set([
  extensionOids.authorityKeyIdentifier,
  crlExtensionOids.cRLNumber,
  crlExtensionOids.deltaCRLIndicator,
  crlExtensionOids.issuingDistributionPoint,
  crlExtensionOids.freshestCRL,
]);

/** RFC 5280 §5.2.3: up to 20 octets, and never negative; one octet more for the sign. */
const MAX_NUMBER_OCTETS = 21;

/** @throws SealgateError `asn1.malformed`, `pki.malformed` */
export function readCrlExtensions(extensions: readonly Extension[]): CrlExtensions {
  const { issuingDistributionPoint, freshestCRL } = crlExtensionOids;
  const point = extensionElement(extensions, issuingDistributionPoint);
  const freshest = extensionElement(extensions, freshestCRL);
  return {
    authorityKeyIdentifier: extensionValue(extensions, extensionOids.authorityKeyIdentifier),
    cRLNumber: crlNumber(extensions, crlExtensionOids.cRLNumber),
    baseCRLNumber: crlNumber(extensions, crlExtensionOids.deltaCRLIndicator),
    issuingDistributionPoint: point === null ? null : parseIssuingDistributionPoint(point),
    issuingDistributionPointValue: extensionValue(extensions, issuingDistributionPoint),
    freshestPoints: freshest === null ? [] : parseDistributionPoints(freshest),
    unknownCritical: criticalOutside(extensions, PROCESSED),
  };
}

function extensionValue(extensions: readonly Extension[], oid: string): Buffer | null {
  return extensions.find((extension) => extension.oid === oid)?.value ?? null;
}

function crlNumber(extensions: readonly Extension[], oid: string): bigint | null {
  const element = extensionElement(extensions, oid);
  if (element === null) return null;
  if (element.content.length > MAX_NUMBER_OCTETS) throw malformed('a CRL number that is too long');
  const number = bigInteger(element);
  if (number < 0n) throw malformed('a negative CRL number');
  return number;
}

/** What a CRL says about one certificate besides its serial number and time. */
export type EntryExtensions = {
  /** RFC 5280 §5.3.1: absent is the same as unspecified. */
  reason: RevocationReason;
  invalidityDate: Date | null;
  /** §5.3.3; null: absent, the issuer is that of the entry before. */
  certificateIssuer: readonly ComparableName[] | null;
  unknownCritical: readonly string[];
};

const ENTRY_PROCESSED: ReadonlySet<string> = new Set([
  crlExtensionOids.reasonCode,
  crlExtensionOids.invalidityDate,
  crlExtensionOids.certificateIssuer,
]);

export const noEntryExtensions: EntryExtensions = {
  reason: 'unspecified',
  invalidityDate: null,
  certificateIssuer: null,
  unknownCritical: [],
};

/** @throws SealgateError `asn1.malformed`, `pki.malformed` */
export function readEntryExtensions(extensions: readonly Extension[]): EntryExtensions {
  const reason = extensionElement(extensions, crlExtensionOids.reasonCode);
  const invalidity = extensionElement(extensions, crlExtensionOids.invalidityDate);
  const issuer = extensionElement(extensions, crlExtensionOids.certificateIssuer);
  if (invalidity !== null && invalidity.tag !== universal.generalizedTime) {
    throw malformed('an invalidityDate that is no GeneralizedTime');
  }
  if (issuer !== null) sequenceOf(issuer, 'DER', 'certificateIssuer');
  return {
    reason: reason === null ? 'unspecified' : parseReason(reason),
    invalidityDate: invalidity === null ? null : timeValue(invalidity, 'DER'),
    certificateIssuer: issuer === null ? null : parseComparableNames(issuer),
    unknownCritical: criticalOutside(extensions, ENTRY_PROCESSED),
  };
}

function criticalOutside(extensions: readonly Extension[], processed: ReadonlySet<string>): string[] {
  return extensions.flatMap(({ critical, oid }) => (critical && !processed.has(oid) ? [oid] : []));
}

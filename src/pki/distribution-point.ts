import { type Element, implicitly, universal } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { SequenceReader, sequenceOf } from '../asn1/sequence-reader.ts';
import { booleanValue } from '../asn1/values.ts';
import { element as encode, sequence } from '../asn1/writer.ts';
import { limits } from '../limits.ts';
import { type GeneralName, parseGeneralName } from './general-name.ts';
import { malformed } from './malformed.ts';
import { type DistinguishedName, nameKey, parseName } from './name.ts';
import { parseReasonFlags, type ReasonMask } from './revocation-reason.ts';

/** A GeneralName with a key that is equal exactly for names that are the same: those of directories by RFC 5280 §7.1. */
export type ComparableName = { name: GeneralName; key: string };

/** DistributionPointName, RFC 5280 §4.2.1.13. A relative name is one RDN, as the octets of its SET. */
export type DistributionPointName =
  | { kind: 'fullName'; names: readonly ComparableName[] }
  | { kind: 'nameRelativeToCRLIssuer'; rdn: Buffer };

/** RFC 5280 §4.2.1.13; null: absent. */
export type DistributionPoint = {
  name: DistributionPointName | null;
  reasons: ReasonMask | null;
  cRLIssuer: readonly ComparableName[] | null;
};

/** RFC 5280 §5.2.5; null: absent. */
export type IssuingDistributionPoint = {
  name: DistributionPointName | null;
  onlyContainsUserCerts: boolean;
  onlyContainsCACerts: boolean;
  onlySomeReasons: ReasonMask | null;
  indirectCRL: boolean;
  onlyContainsAttributeCerts: boolean;
};

/**
 * `CRLDistributionPoints ::= SEQUENCE SIZE (1..MAX) OF DistributionPoint`, in DER.
 *
 * @throws SealgateError `asn1.malformed`, `pki.malformed`
 */
export function parseDistributionPoints(element: Element): DistributionPoint[] {
  const list = sequenceOf(element, 'DER', 'cRLDistributionPoints');
  const found: DistributionPoint[] = [];
  while (!list.atEnd) {
    if (found.length >= limits.pki.distributionPoints) throw malformed('too many distribution points');
    const point = list.sequence('a DistributionPoint');
    const name = point.optionalExplicit(0);
    const reasons = point.optionalContext(1);
    const issuer = point.optionalContext(2);
    point.end();
    // RFC 5280 §4.2.1.13: reasons alone are nothing.
    if (name === null && issuer === null) throw malformed('a distribution point without name and issuer');
    found.push({
      name: name === null ? null : parseDistributionPointName(name),
      reasons: reasons === null ? null : parseReasonFlags(implicitly(reasons, universal.bitString)),
      cRLIssuer: issuer === null ? null : parseComparableNames(issuer),
    });
  }
  if (found.length === 0) throw malformed('an empty cRLDistributionPoints');
  return found;
}

/** @throws SealgateError `asn1.malformed`, `pki.malformed` */
export function parseIssuingDistributionPoint(element: Element): IssuingDistributionPoint {
  const point = sequenceOf(element, 'DER', 'issuingDistributionPoint');
  const flag = (tag: number): boolean => {
    const value = point.optionalContext(tag);
    return value !== null && booleanValue(implicitly(value, universal.boolean), 'DER');
  };
  const name = point.optionalExplicit(0);
  const onlyContainsUserCerts = flag(1);
  const onlyContainsCACerts = flag(2);
  const reasons = point.optionalContext(3);
  const indirectCRL = flag(4);
  const onlyContainsAttributeCerts = flag(5);
  point.end();
  const only = [onlyContainsUserCerts, onlyContainsCACerts, onlyContainsAttributeCerts];
  if (only.filter(Boolean).length > 1) throw malformed('a CRL with two scopes that exclude each other');
  return {
    name: name === null ? null : parseDistributionPointName(name),
    onlyContainsUserCerts,
    onlyContainsCACerts,
    onlySomeReasons: reasons === null ? null : parseReasonFlags(implicitly(reasons, universal.bitString)),
    indirectCRL,
    onlyContainsAttributeCerts,
  };
}

/** @param element of the CHOICE, inside its explicit tag */
function parseDistributionPointName(element: Element): DistributionPointName {
  if (element.tagClass === 'context' && element.tag === 0) {
    return { kind: 'fullName', names: parseComparableNames(element) };
  }
  if (element.tagClass === 'context' && element.tag === 1 && element.constructed) {
    const rdn = encode(universal.set | 0x20, element.content);
    // Held to the rules of names at once, and not only where it is compared.
    parseName(readWhole(sequence(rdn), 'DER'));
    return { kind: 'nameRelativeToCRLIssuer', rdn };
  }
  throw malformed('a DistributionPointName of unknown form');
}

/**
 * GeneralNames for comparison.
 *
 * @param element constructed; its tag is for the caller
 * @throws SealgateError `asn1.malformed`, `pki.malformed`
 */
export function parseComparableNames(element: Element): ComparableName[] {
  const list = new SequenceReader(element, 'DER');
  const found: ComparableName[] = [];
  while (!list.atEnd) {
    if (found.length >= limits.pki.distributionPoints) throw malformed('too many names of one place');
    const one = list.next();
    const name = parseGeneralName(one);
    found.push({ name, key: name.kind === 'directoryName' ? directoryKey(name.name) : octetsKey(one) });
  }
  if (found.length === 0) throw malformed('an empty GeneralNames');
  return found;
}

/** The key of a distinguished name among GeneralNames. */
export function directoryKey(name: DistinguishedName): string {
  return `directoryName ${nameKey(name)}`;
}

function octetsKey(element: Element): string {
  return `octets ${element.raw.toString('hex')}`;
}

/**
 * The keys of all forms of one place. A relative name is appended to the name of who issues the CRL (RFC 5280 §4.2.1.13).
 */
export function placeKeys(place: DistributionPointName, cRLIssuer: DistinguishedName): readonly string[] {
  if (place.kind === 'fullName') return place.names.map(({ key }) => key);
  const whole = sequence(readWhole(cRLIssuer.der, 'DER').content, place.rdn);
  return [directoryKey(parseName(readWhole(whole, 'DER')))];
}

import { type Element, implicitly, universal } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { type SequenceReader, sequenceOf } from '../asn1/sequence-reader.ts';
import { bitString, booleanValue, objectIdentifier, octetString, smallInteger } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { type GeneralName, parseGeneralNames } from './general-name.ts';
import { malformed } from './malformed.ts';

export type KeyUsage =
  | 'digitalSignature'
  | 'nonRepudiation'
  | 'keyEncipherment'
  | 'dataEncipherment'
  | 'keyAgreement'
  | 'keyCertSign'
  | 'cRLSign'
  | 'encipherOnly'
  | 'decipherOnly';

export type Extension = { oid: string; critical: boolean; value: Buffer };

/** RFC 5280 §4.2.1.9; null: no limit. */
export type BasicConstraints = { cA: boolean; pathLength: number | null };

/** RFC 5280 §4.2.1 and §4.2.2. */
export const extensionOids = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  policyMappings: '2.5.29.33',
  authorityKeyIdentifier: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extendedKeyUsage: '2.5.29.37',
  inhibitAnyPolicy: '2.5.29.54',
} as const;

/** Bit numbers of RFC 5280 §4.2.1.3. */
const KEY_USAGES: readonly KeyUsage[] = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
];

/**
 * `Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension` (RFC 5280 §4.2), in DER. An extension that stands there twice is
 * refused: two readers could each believe another one.
 *
 * An explicit `critical FALSE` is a DEFAULT written out, against DER. Certificates in use have it and it means one
 * thing only, so it is read.
 *
 * @throws SealgateError `asn1.malformed`, `pki.malformed`
 */
export function parseExtensions(element: Element): Extension[] {
  const list = sequenceOf(element, 'DER', 'Extensions');
  const found: Extension[] = [];
  const seen = new Set<string>();
  while (!list.atEnd) {
    if (found.length >= limits.pki.extensions) throw malformed('too many extensions');
    const extension = list.sequence('an Extension');
    const oid = objectIdentifier(extension.next('extnID'));
    const critical = extension.optionalUniversal(universal.boolean);
    const value = octetString(extension.next('extnValue'), 'DER');
    extension.end();
    if (seen.has(oid)) throw malformed(`extension ${oid} stands there twice`);
    seen.add(oid);
    found.push({ oid, critical: critical !== null && booleanValue(critical, 'DER'), value });
  }
  if (found.length === 0) throw malformed('an empty list of extensions');
  return found;
}

/** The value of one extension, as an element; null: absent. */
export function extensionElement(extensions: readonly Extension[], oid: string): Element | null {
  const extension = extensions.find((candidate) => candidate.oid === oid);
  return extension === undefined ? null : readWhole(extension.value, 'DER');
}

/** RFC 5280 §4.2.1.3. An empty BIT STRING allows nothing. */
export function parseKeyUsage(extensions: readonly Extension[]): ReadonlySet<KeyUsage> | null {
  const element = extensionElement(extensions, extensionOids.keyUsage);
  if (element === null) return null;
  const { octets, unusedBits } = bitString(element, 'DER');
  if (octets.length > 2) throw malformed('a keyUsage with unknown bits');
  const usages = new Set<KeyUsage>();
  for (let bit = 0; bit < octets.length * 8 - unusedBits; bit++) {
    if (((octets[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) === 0) continue;
    const usage = KEY_USAGES[bit];
    if (usage === undefined) throw malformed('a keyUsage with unknown bits');
    usages.add(usage);
  }
  return usages;
}

/** RFC 5280 §4.2.1.12. */
export function parseExtendedKeyUsage(extensions: readonly Extension[]): readonly string[] | null {
  const element = extensionElement(extensions, extensionOids.extendedKeyUsage);
  if (element === null) return null;
  const list = sequenceOf(element, 'DER', 'extKeyUsage');
  const purposes: string[] = [];
  while (!list.atEnd) purposes.push(objectIdentifier(list.next('a KeyPurposeId')));
  if (purposes.length === 0) throw malformed('an empty extKeyUsage');
  return purposes;
}

/** RFC 5280 §4.2.1.9. */
export function parseBasicConstraints(extensions: readonly Extension[]): BasicConstraints | null {
  const element = extensionElement(extensions, extensionOids.basicConstraints);
  if (element === null) return null;
  const constraints = sequenceOf(element, 'DER', 'basicConstraints');
  const flag = constraints.optionalUniversal(universal.boolean);
  const cA = flag !== null && booleanValue(flag, 'DER');
  const length = constraints.optionalUniversal(universal.integer);
  constraints.end();
  const pathLength = length === null ? null : smallInteger(length);
  if (pathLength !== null && (pathLength < 0 || !cA)) {
    throw malformed('a pathLenConstraint that is negative or not of a CA');
  }
  return { cA, pathLength };
}

/** RFC 5280 §4.2.1.2. */
export function parseSubjectKeyIdentifier(extensions: readonly Extension[]): Buffer | null {
  const element = extensionElement(extensions, extensionOids.subjectKeyIdentifier);
  return element === null ? null : octetString(element, 'DER');
}

/** keyIdentifier of RFC 5280 §4.2.1.1; null: absent, or it names the key by issuer and serial number only. */
export function parseAuthorityKeyIdentifier(extensions: readonly Extension[]): Buffer | null {
  const element = extensionElement(extensions, extensionOids.authorityKeyIdentifier);
  if (element === null) return null;
  const identifier: SequenceReader = sequenceOf(element, 'DER', 'authorityKeyIdentifier');
  const key = identifier.optionalContext(0);
  identifier.optionalContext(1);
  identifier.optionalContext(2);
  identifier.end();
  return key === null ? null : octetString(implicitly(key, universal.octetString), 'DER');
}

/** RFC 5280 §4.2.1.6; empty: absent. */
export function parseSubjectAltName(extensions: readonly Extension[]): readonly GeneralName[] {
  const element = extensionElement(extensions, extensionOids.subjectAltName);
  return element === null ? [] : parseGeneralNames(element);
}

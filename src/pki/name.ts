import { type Element, universal } from '../asn1/element.ts';
import { children, readWhole } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { characterString } from '../asn1/strings.ts';
import { objectIdentifier } from '../asn1/values.ts';
import { malformed } from './malformed.ts';

/** One attribute of a distinguished name. */
export type NameAttribute = { type: string; value: string };

export type DistinguishedName = {
  /** The Name as encoded; comparison by RFC 5280 §7.1 is below. */
  der: Buffer;
  attributes: readonly NameAttribute[];
  /** RFC 4514 string for people. */
  text: string;
};

/** RFC 4514 §3 and the registered descriptors that certificates use. */
const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.4', 'SN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'STREET'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['2.5.4.12', 'title'],
  ['2.5.4.42', 'GN'],
  ['2.5.4.97', 'organizationIdentifier'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
]);

const STRING_TAGS: ReadonlySet<number> = new Set([
  universal.utf8String,
  universal.numericString,
  universal.printableString,
  universal.t61String,
  universal.ia5String,
  universal.visibleString,
  universal.universalString,
  universal.bmpString,
]);

/** RFC 4518 §2.2, without its controls. */
const MAPPED_TO_NOTHING =
  /\u{AD}|\u{34F}|\u{1806}|[\u{180B}-\u{180D}]|\u{200B}|[\u{FE00}-\u{FE0F}]|\u{FFFC}/gu;

type Attribute = { type: string; value: Element };

/**
 * `Name ::= CHOICE { rdnSequence RDNSequence }` (RFC 5280 §4.1.2.4), in DER.
 *
 * @throws SealgateError `asn1.malformed`, `pki.malformed`
 */
export function parseName(element: Element): DistinguishedName {
  const attributes: NameAttribute[] = [];
  const texts: string[] = [];
  for (const rdn of relativeNames(element)) {
    const parts: string[] = [];
    for (const { type, value } of rdn) {
      const text = attributeText(value);
      attributes.push({ type, value: text ?? hexText(value) });
      parts.push(attributeForPeople(type, value, text));
    }
    texts.push(parts.join('+'));
  }
  // RFC 4514 §2.1: from the last RDN to the first.
  return { der: element.raw, attributes, text: texts.reverse().join(',') };
}

const MESSAGE_CHARACTERS = 160;

/** The text of a name for messages: somebody else wrote it, so it is escaped (RFC 4514) and never long. */
export function nameForPeople(name: DistinguishedName): string {
  if (name.text === '') return 'the certificate without a name';
  return name.text.length > MESSAGE_CHARACTERS ? `${name.text.slice(0, MESSAGE_CHARACTERS)}…` : name.text;
}

/** Whether two names are the same by RFC 5280 §7.1. */
export function sameName(one: DistinguishedName, other: DistinguishedName): boolean {
  return one === other || one.der.equals(other.der) || nameKey(one) === nameKey(other);
}

/** Equal exactly for names that are the same by RFC 5280 §7.1; for indexes. */
export function nameKey(name: DistinguishedName): string {
  return canonical(name).key;
}

/** Whether `name` begins with all RDNs of `base`: the subtree of a directoryName constraint (RFC 5280 §7.1). */
export function isWithin(name: DistinguishedName, base: DistinguishedName): boolean {
  const inner = canonical(name).rdns;
  const outer = canonical(base).rdns;
  return outer.length <= inner.length && outer.every((rdn, i) => rdn === inner[i]);
}

export function isEmptyName(name: DistinguishedName): boolean {
  return canonical(name).rdns.length === 0;
}

type CanonicalName = { rdns: readonly string[]; key: string };

// Names live as long as their certificates; the canonical form is needed only for those that take part in paths.
const canonicalNames = new WeakMap<DistinguishedName, CanonicalName>();

function canonical(name: DistinguishedName): CanonicalName {
  let known = canonicalNames.get(name);
  if (known === undefined) {
    const rdns = relativeNames(readWhole(name.der, 'DER')).map((rdn) =>
      JSON.stringify(rdn.map(({ type, value }) => `${type}=${canonicalValue(value)}`).sort()),
    );
    known = { rdns, key: rdns.join('/') };
    canonicalNames.set(name, known);
  }
  return known;
}

function relativeNames(element: Element): Attribute[][] {
  const names = sequenceOf(element, 'DER', 'a Name');
  const found: Attribute[][] = [];
  while (!names.atEnd) {
    const attributes = children(names.universal(universal.set, 'a RelativeDistinguishedName'), 'DER');
    if (attributes.length === 0) throw malformed('an empty RelativeDistinguishedName');
    found.push(
      attributes.map((attribute) => {
        const pair = sequenceOf(attribute, 'DER', 'an AttributeTypeAndValue');
        const type = objectIdentifier(pair.next('an attribute type'));
        const value = pair.next('an attribute value');
        pair.end();
        return { type, value };
      }),
    );
  }
  return found;
}

/** null: not of a character string type. */
function attributeText(value: Element): string | null {
  if (value.tagClass !== 'universal' || !STRING_TAGS.has(value.tag)) return null;
  return characterString(value, 'DER');
}

/**
 * RFC 5280 §7.1 with the preparation of RFC 4518 §2: mapped, folded, normalised, white space insignificant. The string
 * type does not matter, except that T61String (nobody agrees on its characters) and what is no string are compared by
 * their octets. One deviation: control characters are kept, so a name with a NUL never equals one without.
 */
function canonicalValue(value: Element): string {
  const text = value.tag === universal.t61String ? null : attributeText(value);
  if (text === null) return hexText(value);
  const folded = text
    .replace(MAPPED_TO_NOTHING, '')
    .normalize('NFKC')
    .toUpperCase()
    .toLowerCase()
    .normalize('NFKC');
  return `"${folded.replace(/[\t\n\v\f\r\u{85}\p{Z}]+/gu, ' ').trim()}`;
}

function hexText(value: Element): string {
  return `#${value.raw.toString('hex')}`;
}

/** RFC 4514 §2.3, §2.4. */
function attributeForPeople(type: string, value: Element, text: string | null): string {
  const name = SHORT_NAMES.get(type);
  if (name === undefined || text === null) return `${name ?? type}=${hexText(value)}`;
  return `${name}=${escapeValue(text)}`;
}

/**
 * RFC 4514 §2.4. Controls, format characters (which turn the direction of writing) and line separators are written as
 * octets too, so that a name cannot forge a line or another name where it is shown.
 */
function escapeValue(text: string): string {
  return text
    .replace(/["+,;<>\\]/g, '\\$&')
    .replace(/^[ #]/, '\\$&')
    .replace(/ $/, '\\ ')
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cn}]/gu, (character) =>
      Buffer.from(character).toString('hex').replace(/../g, '\\$&'),
    );
}

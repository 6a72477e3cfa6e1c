import { type Element, implicitly, universal } from '../asn1/element.ts';
import { explicitly, SequenceReader, sequenceOf } from '../asn1/sequence-reader.ts';
import { characterString } from '../asn1/strings.ts';
import { objectIdentifier, octetString } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { malformed } from './malformed.ts';
import { type DistinguishedName, parseName } from './name.ts';

/** id-on-SmtpUTF8Mailbox, RFC 9598 §3. */
export const oidSmtpUtf8Mailbox = '1.3.6.1.5.5.7.8.9';

/** GeneralName, RFC 5280 §4.2.1.6. Texts are as written: they may hold anything that IA5String holds, NUL included. */
export type GeneralName =
  | { kind: 'rfc822Name'; text: string }
  | { kind: 'smtpUtf8Mailbox'; text: string }
  | { kind: 'dNSName'; text: string }
  | { kind: 'uniformResourceIdentifier'; text: string }
  | { kind: 'directoryName'; name: DistinguishedName }
  | { kind: 'iPAddress'; octets: Buffer }
  /** Nothing here reads its value. `form` tells the forms apart: `otherName 1.2.3`, `registeredID`. */
  | { kind: 'unread'; form: string };

/**
 * `GeneralNames ::= SEQUENCE SIZE (1..MAX) OF GeneralName`, in DER.
 *
 * @throws SealgateError `asn1.malformed`, `pki.malformed`
 */
export function parseGeneralNames(element: Element): GeneralName[] {
  const names = sequenceOf(element, 'DER', 'GeneralNames');
  const found: GeneralName[] = [];
  while (!names.atEnd) {
    if (found.length >= limits.pki.generalNames) throw malformed('too many names in GeneralNames');
    found.push(parseGeneralName(names.next()));
  }
  if (found.length === 0) throw malformed('an empty GeneralNames');
  return found;
}

/** @throws SealgateError `asn1.malformed`, `pki.malformed` */
export function parseGeneralName(element: Element): GeneralName {
  if (element.tagClass !== 'context') throw malformed('a GeneralName without its tag');
  switch (element.tag) {
    case 0:
      return parseOtherName(element);
    case 1:
      return { kind: 'rfc822Name', text: ia5(element) };
    case 2:
      return { kind: 'dNSName', text: ia5(element) };
    case 3:
      return { kind: 'unread', form: 'x400Address' };
    case 4:
      // Name is a CHOICE, so its tag is explicit (X.680 §31.2.7).
      return { kind: 'directoryName', name: parseName(explicitly(element, 'DER')) };
    case 5:
      return { kind: 'unread', form: 'ediPartyName' };
    case 6:
      return { kind: 'uniformResourceIdentifier', text: ia5(element) };
    case 7:
      return { kind: 'iPAddress', octets: octetString(implicitly(element, universal.octetString), 'DER') };
    case 8:
      return { kind: 'unread', form: 'registeredID' };
    default:
      throw malformed('a GeneralName of unknown form');
  }
}

function ia5(element: Element): string {
  return characterString(implicitly(element, universal.ia5String), 'DER');
}

/** `OtherName ::= SEQUENCE { type-id OBJECT IDENTIFIER, value [0] EXPLICIT ANY DEFINED BY type-id }`. */
function parseOtherName(element: Element): GeneralName {
  const other = new SequenceReader(element, 'DER');
  const type = objectIdentifier(other.next('type-id'));
  const value = other.optionalExplicit(0);
  other.end();
  if (value === null) throw malformed('an otherName without value');
  if (type !== oidSmtpUtf8Mailbox) return { kind: 'unread', form: `otherName ${type}` };
  if (value.tagClass !== 'universal' || value.tag !== universal.utf8String) {
    throw malformed('a SmtpUTF8Mailbox that is not a UTF8String');
  }
  return { kind: 'smtpUtf8Mailbox', text: characterString(value, 'DER') };
}

/**
 * Whether the name is a mailbox of its holder. RFC 9598 §3: a SmtpUTF8Mailbox has no byte order mark, and never a local
 * part of ASCII only, which is what rfc822Name is for: a CA that does not know this form has not verified it.
 */
export function isMailbox(
  name: GeneralName,
): name is Extract<GeneralName, { kind: 'rfc822Name' | 'smtpUtf8Mailbox' }> {
  if (name.kind !== 'smtpUtf8Mailbox') return name.kind === 'rfc822Name';
  const localPart = name.text.slice(0, Math.max(0, name.text.lastIndexOf('@')));
  return !name.text.includes('\u{FEFF}') && !/^[\0-\x7f]*$/.test(localPart);
}

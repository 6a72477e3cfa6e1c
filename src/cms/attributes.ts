import { type Element, universal } from '../asn1/element.ts';
import { children, readWhole } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { definiteLengths } from '../asn1/transcode.ts';
import { objectIdentifier } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import { isUnreadable, malformed } from './malformed.ts';

/** `Attribute ::= SEQUENCE { attrType OBJECT IDENTIFIER, attrValues SET OF AttributeValue }` (RFC 5652 §5.3). */
export type Attribute = { type: string; values: readonly Element[] };

/** Attributes that a signature or an authentication tag covers. */
export type CoveredAttributes = {
  list: readonly Attribute[];
  /**
   * Encodings as `SET OF` that may have been covered: the octets as sent with the tag replaced, which is DER for nearly
   * every writer, and where they are not DER what RFC 5652 §5.4 and RFC 5083 §2.2 ask for.
   */
  encodings(): Iterable<Buffer>;
};

/**
 * `[n] IMPLICIT SET SIZE (1..MAX) OF Attribute`.
 *
 * @throws SealgateError `asn1.malformed`, `cms.malformed`
 */
export function readCoveredAttributes(element: Element): CoveredAttributes {
  const elements = children(element, 'BER');
  if (elements.length === 0) throw malformed('an empty set of attributes');
  return {
    list: elements.map(readAttribute),
    *encodings() {
      const asSent = der.element(SET_OF, element.content);
      yield asSent;
      const canonical = der.setOf(elements.map((attribute) => definiteLengths(attribute)));
      if (!canonical.equals(asSent)) yield canonical;
    },
  };
}

/** @throws SealgateError `asn1.malformed`, `cms.malformed` */
export function readAttributes(element: Element): Attribute[] {
  return children(element, 'BER').map(readAttribute);
}

function readAttribute(element: Element): Attribute {
  const reader = sequenceOf(element, 'BER', 'Attribute');
  const type = objectIdentifier(reader.next('attrType'));
  const set = reader.universal(universal.set, 'attrValues');
  reader.end();
  return { type, values: children(set, 'BER') };
}

/** Whether an attribute type stands there twice, which makes its meaning a matter of the reader's taste. */
export function hasDuplicates(attributes: readonly Attribute[]): boolean {
  return new Set(attributes.map(({ type }) => type)).size !== attributes.length;
}

/**
 * The value of an attribute that has exactly one; null: the attribute is absent.
 *
 * @throws SealgateError `cms.malformed` for several attributes of the type, no value or several values
 */
export function singleValue(attributes: readonly Attribute[], type: string): Element | null {
  const found = attributes.filter((attribute) => attribute.type === type);
  const [attribute] = found;
  if (attribute === undefined) return null;
  const [value] = attribute.values;
  if (found.length !== 1 || attribute.values.length !== 1 || value === undefined) {
    throw malformed(`attribute ${type} does not have exactly one value`);
  }
  return value;
}

/** @param value encoded */
export function attribute(type: string, value: Uint8Array): Buffer {
  return der.sequence(der.oid(type), der.setOf([value]));
}

/** Identifier octet of every SET OF. */
export const SET_OF = 0x31;

/**
 * Whether content is a `SET OF Attribute` and nothing else. A signature over such content without signed attributes could as
 * well be one over those attributes, and the other way round.
 */
export function isSetOfAttributes(content: Uint8Array): boolean {
  if (content[0] !== SET_OF) return false;
  const octets = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  try {
    const attributes = children(readWhole(octets, 'BER'), 'BER');
    for (const attribute of attributes) readAttribute(attribute);
    return attributes.length > 0;
  } catch (error) {
    if (isUnreadable(error)) return false;
    throw error;
  }
}

import { contentOffset, type Element, implicitly, universal } from '../../asn1/element.ts';
import { SequenceReader } from '../../asn1/sequence-reader.ts';
import { booleanValue, enumerated, octetString, smallInteger } from '../../asn1/values.ts';
import { protocolFault } from './protocol-fault.ts';

/**
 * The fields of one constructed element of LDAP, in their order. RFC 4511 §5.1 takes much of BER away: lengths are definite, strings are
 * in one piece, TRUE is FF. What trails behind the fields that are known is ignored, as §4 wants it.
 *
 * All methods throw SealgateError `asn1.malformed` or `publishing.ldap-protocol`.
 */
export class Fields {
  readonly #reader: SequenceReader;

  constructor(element: Element) {
    this.#reader = new SequenceReader(definite(element), 'BER');
  }

  get atEnd(): boolean {
    return this.#reader.atEnd;
  }

  any(what: string): Element {
    return definite(this.#reader.next(what));
  }

  /** INTEGER (0 .. maxInt). */
  natural(what: string): number {
    return natural(smallInteger(this.#reader.universal(universal.integer, what)), what);
  }

  /** Any ENUMERATED that is not negative. */
  enumerated(what: string): number {
    return natural(enumerated(this.#reader.universal(universal.enumerated, what)), what);
  }

  boolean(what: string): boolean {
    return booleanValue(this.#reader.universal(universal.boolean, what), 'DER');
  }

  /** The BOOLEAN, if one is next. */
  optionalBoolean(): boolean | null {
    const element = this.#reader.optionalUniversal(universal.boolean);
    return element === null ? null : booleanValue(element, 'DER');
  }

  octets(what: string): Buffer {
    return octetString(definite(this.#reader.universal(universal.octetString, what)), 'DER');
  }

  /** The OCTET STRING, if one is next. */
  optionalOctets(): Buffer | null {
    const element = this.#reader.optionalUniversal(universal.octetString);
    return element === null ? null : octetString(element, 'DER');
  }

  sequence(what: string): Fields {
    return new Fields(this.#reader.universal(universal.sequence, what));
  }

  optionalContext(tag: number): Element | null {
    const element = this.#reader.optionalContext(tag);
    return element === null ? null : definite(element);
  }
}

/** The octets of `[tag] IMPLICIT OCTET STRING`. */
export function implicitOctets(element: Element): Buffer {
  return octetString(implicitly(definite(element), universal.octetString), 'DER');
}

/** RFC 4511 §4.1.1. */
const MAX_INT = 2 ** 31 - 1;

function natural(value: number, what: string): number {
  if (value < 0 || value > MAX_INT) throw protocolFault(`${what} is out of bounds`);
  return value;
}

/** An element of indefinite length has two octets behind its content. */
function definite(element: Element): Element {
  const end = element.offset + element.raw.length;
  if (contentOffset(element) + element.content.length !== end) throw protocolFault('an indefinite length');
  return element;
}

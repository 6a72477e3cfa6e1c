import type { Element } from '../../asn1/element.ts';
import { limits } from '../../limits.ts';
import { Fields, implicitOctets } from './fields.ts';
import { protocolFault } from './protocol-fault.ts';

/** A filter (RFC 4511 §4.5.1.7). Values are what they are in UTF-8; null: they are no text, so nothing equals them. */
export type Filter =
  | { kind: 'and' | 'or'; filters: readonly Filter[] }
  | { kind: 'not'; filter: Filter }
  | { kind: 'equal'; attribute: string; value: string | null }
  | { kind: 'substrings'; attribute: string; pieces: Substrings | null }
  | { kind: 'present'; attribute: string }
  /** What no attribute here has: order, and matching rules of its own. */
  | { kind: 'unsupported' };

/** Of pieces: at the beginning, in between in this order, at the end. */
export type Substrings = { initial: string | null; any: readonly string[]; final: string | null };

/** Context-specific tags of Filter. */
const AND = 0;
const OR = 1;
const NOT = 2;
const EQUALITY = 3;
const SUBSTRINGS = 4;
const GREATER_OR_EQUAL = 5;
const LESS_OR_EQUAL = 6;
const PRESENT = 7;
const APPROXIMATELY = 8;
const EXTENSIBLE = 9;

/** @throws SealgateError `asn1.malformed`, `publishing.ldap-protocol`; also for more parts, or deeper ones, than `limits.publishing` has */
export function readFilter(element: Element): Filter {
  let parts = 0;
  const read = (each: Element, depth: number): Filter => {
    if (++parts > limits.publishing.filterParts) throw protocolFault('a filter with too many parts');
    if (depth > limits.publishing.filterDepth) throw protocolFault('a filter that is nested too deep');
    if (each.tagClass !== 'context') throw protocolFault('a filter of an unknown kind');
    switch (each.tag) {
      case AND:
      case OR: {
        const filters: Filter[] = [];
        for (const set = new Fields(each); !set.atEnd; ) filters.push(read(set.any('a filter'), depth + 1));
        return { kind: each.tag === AND ? 'and' : 'or', filters };
      }
      case NOT:
        return { kind: 'not', filter: read(new Fields(each).any('a filter'), depth + 1) };
      case EQUALITY:
      // RFC 4511 §4.5.1.7.6: a server that knows no likeness takes equality for it.
      case APPROXIMATELY: {
        const assertion = new Fields(each);
        const attribute = attributeName(assertion.octets('attributeDesc'));
        return { kind: 'equal', attribute, value: utf8(assertion.octets('assertionValue')) };
      }
      case SUBSTRINGS: {
        const assertion = new Fields(each);
        const attribute = attributeName(assertion.octets('type'));
        return { kind: 'substrings', attribute, pieces: substrings(assertion.sequence('substrings')) };
      }
      case PRESENT:
        return { kind: 'present', attribute: attributeName(implicitOctets(each)) };
      case GREATER_OR_EQUAL:
      case LESS_OR_EQUAL:
      case EXTENSIBLE:
        // It must be an assertion at least.
        new Fields(each).any('an assertion');
        return { kind: 'unsupported' };
      default:
        throw protocolFault('a filter of an unknown kind');
    }
  };
  return read(element, 1);
}

/** Context-specific tags of substrings. */
const INITIAL = 0;
const ANY = 1;
const FINAL = 2;

function substrings(sequence: Fields): Substrings | null {
  let initial: string | null = null;
  let final: string | null = null;
  const any: string[] = [];
  let isText = true;
  let position = 0;
  while (!sequence.atEnd) {
    const piece = sequence.any('a substring');
    const { tagClass, tag } = piece;
    // RFC 4511 §4.5.1.7.2: initial is first, final is last, each at most once.
    if (tagClass !== 'context' || final !== null || (tag === INITIAL && position > 0)) {
      throw protocolFault('substrings out of order');
    }
    position++;
    const octets = implicitOctets(piece);
    if (octets.length === 0) throw protocolFault('an empty substring');
    const text = utf8(octets);
    if (text === null) isText = false;
    else if (tag === INITIAL) initial = text;
    else if (tag === ANY) any.push(text);
    if (tag === FINAL) final = text ?? '';
    else if (tag !== INITIAL && tag !== ANY) throw protocolFault('a substring of an unknown kind');
  }
  if (position === 0) throw protocolFault('no substrings');
  return isText ? { initial, any, final } : null;
}

/** AttributeDescription in the form in which names are looked up; options stay. What is none names no attribute. */
export function attributeName(octets: Buffer): string {
  return octets.toString('latin1').toLowerCase();
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** null: it is no UTF-8. */
export function utf8(octets: Buffer): string | null {
  try {
    return strict.decode(octets);
  } catch {
    return null;
  }
}

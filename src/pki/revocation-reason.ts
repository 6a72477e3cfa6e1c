import type { Element } from '../asn1/element.ts';
import { bitString, enumerated } from '../asn1/values.ts';
import { malformed } from './malformed.ts';

/** CRLReason, RFC 5280 §5.3.1. */
export type RevocationReason =
  | 'unspecified'
  | 'keyCompromise'
  | 'cACompromise'
  | 'affiliationChanged'
  | 'superseded'
  | 'cessationOfOperation'
  | 'certificateHold'
  | 'removeFromCRL'
  | 'privilegeWithdrawn'
  | 'aACompromise';

/** 7 is not used. */
const REASONS: ReadonlyMap<number, RevocationReason> = new Map<number, RevocationReason>([
  [0, 'unspecified'],
  [1, 'keyCompromise'],
  [2, 'cACompromise'],
  [3, 'affiliationChanged'],
  [4, 'superseded'],
  [5, 'cessationOfOperation'],
  [6, 'certificateHold'],
  [8, 'removeFromCRL'],
  [9, 'privilegeWithdrawn'],
  [10, 'aACompromise'],
]);

/**
 * A set of ReasonFlags (RFC 5280 §4.2.1.13): bit n of the number is bit n of the BIT STRING. Bit 0 is `unused` and never
 * set here.
 */
export type ReasonMask = number;

/** The reasons that RFC 5280 §6.3.2 calls all-reasons: flags 1 to 8. */
export const allReasons: ReasonMask = 0b1_1111_1110;

/** @throws SealgateError `asn1.malformed`, `pki.malformed` */
export function parseReason(element: Element): RevocationReason {
  const reason = REASONS.get(enumerated(element));
  if (reason === undefined) throw malformed('a CRLReason that does not exist');
  return reason;
}

/**
 * @param element ReasonFlags as a universal BIT STRING
 * @throws SealgateError `asn1.malformed`, `pki.malformed` also for flags that nobody has defined
 */
export function parseReasonFlags(element: Element): ReasonMask {
  const { octets, unusedBits } = bitString(element, 'DER');
  if (octets.length > 2) throw malformed('ReasonFlags with unknown bits');
  let mask = 0;
  for (let bit = 0; bit < octets.length * 8 - unusedBits; bit++) {
    if (((octets[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0) mask |= 1 << bit;
  }
  if ((mask & ~(allReasons | 1)) !== 0) throw malformed('ReasonFlags with unknown bits');
  return mask & allReasons;
}

import { type Element, isUniversal, universal } from '../asn1/element.ts';
import type { Rules } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { definiteLengths } from '../asn1/transcode.ts';
import { objectIdentifier } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';

/** `AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY OPTIONAL }` (RFC 5280 §4.1.1.2). */
export type AlgorithmIdentifier = {
  oid: string;
  /** null: absent. A NULL is an element. */
  parameters: Element | null;
  raw: Buffer;
};

/** @throws SealgateError `asn1.malformed` */
export function readAlgorithmIdentifier(element: Element, rules: Rules = 'BER'): AlgorithmIdentifier {
  const reader = sequenceOf(element, rules, 'AlgorithmIdentifier');
  const oid = objectIdentifier(reader.next('algorithm'));
  const parameters = reader.atEnd ? null : reader.next();
  reader.end();
  return { oid, parameters, raw: element.raw };
}

/** Absent and NULL mean the same wherever an algorithm has no parameters; writers differ (RFC 5754 §2). */
export function hasNoParameters(algorithm: AlgorithmIdentifier): boolean {
  const { parameters } = algorithm;
  return (
    parameters === null || (isUniversal(parameters, universal.nullValue) && parameters.content.length === 0)
  );
}

/** Same algorithm with the same parameters; absent and NULL count as the same (RFC 6211 §2). */
export function sameAlgorithm(one: AlgorithmIdentifier, other: AlgorithmIdentifier): boolean {
  if (one.oid !== other.oid) return false;
  if (hasNoParameters(one) || hasNoParameters(other)) return hasNoParameters(one) && hasNoParameters(other);
  if (one.parameters === null || other.parameters === null) return false;
  return definiteLengths(one.parameters).equals(definiteLengths(other.parameters));
}

/** @param parameters encoded; nothing leaves them absent */
export function algorithmIdentifier(oid: string, ...parameters: readonly Uint8Array[]): Buffer {
  return der.sequence(der.oid(oid), ...parameters);
}

import type { Element } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { objectIdentifier } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import { malformed, reading } from './malformed.ts';

/** `ContentInfo ::= SEQUENCE { contentType OBJECT IDENTIFIER, content [0] EXPLICIT ANY }` (RFC 5652 §3). */
export type ContentInfo = {
  contentType: string;
  content: Element;
};

/**
 * Reads the outermost structure of a CMS message, BER or DER; everything inside stays to be read.
 *
 * @throws SealgateError `cms.malformed`, also for trailing octets
 */
export function readContentInfo(octets: Buffer): ContentInfo {
  return reading('ContentInfo', () => {
    const reader = sequenceOf(readWhole(octets, 'BER'), 'BER', 'ContentInfo');
    const contentType = objectIdentifier(reader.next('contentType'));
    const content = reader.optionalExplicit(0);
    reader.end();
    if (content === null) throw malformed('ContentInfo without content');
    return { contentType, content };
  });
}

/** The content of a ContentInfo that must be of one type. */
export function contentOfType(octets: Buffer, contentType: string, what: string): Element {
  const info = readContentInfo(octets);
  if (info.contentType !== contentType) throw malformed(`${what} expected, ${info.contentType} found`);
  return info.content;
}

/** @param content encoded; in pieces if it is large, since they are joined here, in the only copy */
export function contentInfo(contentType: string, ...content: readonly Uint8Array[]): Buffer {
  const { sequence, constructed0 } = der.identifiers;
  const parts = [der.oid(contentType), ...der.pieces(constructed0, content)];
  return Buffer.concat(der.pieces(sequence, parts));
}

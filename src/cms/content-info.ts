import { universal } from '../asn1/element.ts';
import type { IncrementalReader } from '../asn1/incremental-reader.ts';
import { readBeginningOf } from '../asn1/read-octets.ts';
import { objectIdentifier } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import { malformed, reading } from './malformed.ts';

/**
 * contentType of a ContentInfo (RFC 5652 §3: `SEQUENCE { contentType OBJECT IDENTIFIER, content [0] EXPLICIT ANY }`): what the
 * message is, whatever of it cannot be read.
 *
 * @throws SealgateError `cms.malformed`
 */
export function contentTypeOfInfo(octets: Buffer): string {
  return reading('ContentInfo', () => {
    const beginning = readBeginningOf(octets, true, enterContentInfo);
    if (beginning === null) throw malformed('ContentInfo that ends too early');
    return beginning.value;
  });
}

/**
 * Steps into the content of a ContentInfo; `leaveContentInfo` goes out of it again.
 *
 * @returns contentType
 * @throws SealgateError `asn1.malformed`, `cms.malformed`
 */
export function enterContentInfo(reader: IncrementalReader): string {
  reader.openUniversal(universal.sequence, 'ContentInfo');
  const contentType = objectIdentifier(reader.element('contentType'));
  if (!reader.openContext(0)) throw malformed('ContentInfo without content');
  return contentType;
}

/** The same where the type must be `contentType`. */
export function enterContentInfoOf(reader: IncrementalReader, contentType: string, what: string): void {
  const found = enterContentInfo(reader);
  if (found !== contentType) throw malformed(`${what} expected, ${found} found`);
}

/** Nothing may follow, inside or outside. */
export function leaveContentInfo(reader: IncrementalReader): void {
  reader.close();
  reader.close();
  reader.end();
}

/** ContentInfo around content, for `der.headAround`. */
export function contentInfoLevels(contentType: string): der.Level[] {
  const { sequence, constructed0 } = der.identifiers;
  return [{ identifier: constructed0 }, { identifier: sequence, before: [der.oid(contentType)] }];
}

/** @param content encoded */
export function contentInfo(contentType: string, ...content: readonly Uint8Array[]): Buffer {
  const octets = content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([der.headAround(octets, contentInfoLevels(contentType)), ...content]);
}

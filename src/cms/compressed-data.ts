import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { universal } from '../asn1/element.ts';
import type { IncrementalReader } from '../asn1/incremental-reader.ts';
import { readOctets } from '../asn1/read-octets.ts';
import { objectIdentifier, smallInteger } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { readAlgorithmIdentifier } from './algorithm-identifier.ts';
import { enterContentInfoOf, leaveContentInfo } from './content-info.ts';
import { malformed, reading } from './malformed.ts';
import { contentTypes } from './oids.ts';

/** RFC 3274 §2. */
export const zlib = '1.2.840.113549.1.9.16.3.8';

export type DecompressOutcome<Content = Buffer> =
  | { outcome: 'opened'; contentType: string; content: Content }
  | { outcome: 'failed' };

/**
 * How large content may become that a message of `octets` carries, however often it is packed in itself.
 *
 * Must never happen: a small mail that makes us hold, scan and render a very large one each time it is read.
 */
export function inflationBound(octets: number): number {
  const { inflatedOctets, inflation } = limits.cms;
  return Math.min(limits.messageOctets, Math.max(inflatedOctets, octets * inflation));
}

/** On the thread pool: a stranger decides how long it takes. `info` changes the result's type, which nobody has written down. */
const unpack = promisify(inflate) as unknown as (
  octets: Buffer,
  options: { maxOutputLength: number; info: true },
) => Promise<{ buffer: Buffer; engine: { bytesWritten: number } }>;

/**
 * Reads CompressedData (RFC 3274 §1.1): `SEQUENCE { version, compressionAlgorithm, encapContentInfo }`. Content that is
 * larger than allowed has failed like content that is damaged; nothing is truncated, and nothing that follows is passed over.
 *
 * @param octets ContentInfo, BER or DER
 * @param maxOctets of the content, 1 or more; see `inflationBound`
 * @throws SealgateError `cms.malformed`
 */
export async function decompress(octets: Buffer, maxOctets: number): Promise<DecompressOutcome> {
  const { value, content: compressed } = reading('CompressedData', () =>
    readOctets(octets, compressedDataGrammar),
  );
  const { algorithm, contentType } = value;
  if (algorithm !== zlib) return { outcome: 'failed' };
  try {
    const { buffer: content, engine } = await unpack(compressed, { maxOutputLength: maxOctets, info: true });
    // zlib stops at the end of its data, whatever stands behind it.
    return engine.bytesWritten === compressed.length
      ? { outcome: 'opened', contentType, content }
      : { outcome: 'failed' };
  } catch {
    // zlib's only answer to damage and to the bound.
    return { outcome: 'failed' };
  }
}

/** CompressedData without its content. */
type CompressedHead = { algorithm: string; contentType: string };

/** The content is what was compressed. */
export const compressedDataGrammar = {
  head(reader: IncrementalReader): CompressedHead {
    enterContentInfoOf(reader, contentTypes.compressedData, 'CompressedData');
    reader.openUniversal(universal.sequence, 'CompressedData');
    smallInteger(reader.element('version'));
    const algorithm = readAlgorithmIdentifier(reader.element('compressionAlgorithm')).oid;
    reader.openUniversal(universal.sequence, 'encapContentInfo');
    const contentType = objectIdentifier(reader.element('eContentType'));
    if (!reader.openContext(0)) throw malformed('CompressedData without content');
    reader.beginContent('universal', universal.octetString, 'eContent');
    return { algorithm, contentType };
  },

  tail(reader: IncrementalReader, head: CompressedHead): CompressedHead {
    for (let open = 0; open < 3; open++) reader.close();
    leaveContentInfo(reader);
    return head;
  },
};

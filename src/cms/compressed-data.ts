import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { objectIdentifier, octetString, smallInteger } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { readAlgorithmIdentifier } from './algorithm-identifier.ts';
import { contentOfType } from './content-info.ts';
import { malformed, reading } from './malformed.ts';
import { contentTypes } from './oids.ts';

/** RFC 3274 §2. */
const zlib = '1.2.840.113549.1.9.16.3.8';

export type DecompressOutcome =
  | { outcome: 'opened'; contentType: string; content: Buffer }
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

/** On the thread pool: a stranger decides how long it takes. */
const unpack = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflate);

/**
 * Reads CompressedData (RFC 3274 §1.1): `SEQUENCE { version, compressionAlgorithm, encapContentInfo }`. Content that is
 * larger than allowed has failed like content that is damaged; nothing is truncated.
 *
 * @param octets ContentInfo, BER or DER
 * @param maxOctets of the content, 1 or more; see `inflationBound`
 * @throws SealgateError `cms.malformed`
 */
export async function decompress(octets: Buffer, maxOctets: number): Promise<DecompressOutcome> {
  const { algorithm, contentType, compressed } = reading('CompressedData', () => readCompressedData(octets));
  if (algorithm !== zlib) return { outcome: 'failed' };
  try {
    const content = await unpack(compressed, { maxOutputLength: maxOctets });
    return { outcome: 'opened', contentType, content };
  } catch {
    // zlib's only answer to damage and to the bound.
    return { outcome: 'failed' };
  }
}

function readCompressedData(octets: Buffer): { algorithm: string; contentType: string; compressed: Buffer } {
  const content = contentOfType(octets, contentTypes.compressedData, 'CompressedData');
  const reader = sequenceOf(content, 'BER', 'CompressedData');
  smallInteger(reader.next('version'));
  const algorithm = readAlgorithmIdentifier(reader.next('compressionAlgorithm')).oid;
  const encapsulated = reader.sequence('encapContentInfo');
  reader.end();
  const contentType = objectIdentifier(encapsulated.next('eContentType'));
  const eContent = encapsulated.optionalExplicit(0);
  encapsulated.end();
  if (eContent === null) throw malformed('CompressedData without content');
  return { algorithm, contentType, compressed: octetString(eContent, 'BER') };
}

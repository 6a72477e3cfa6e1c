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

/** On the thread pool: a stranger decides how long it takes. */
const unpack = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflate);

/**
 * Reads CompressedData (RFC 3274 §1.1): `SEQUENCE { version, compressionAlgorithm, encapContentInfo }`. Content that is
 * larger than allowed has failed like content that is damaged; nothing is truncated.
 *
 * Must never happen: a small mail that makes us hold, scan and render a very large one each time it is read. Beyond
 * `limits.cms.inflatedOctets` content may be only so many times as large as what was sent.
 *
 * @param octets ContentInfo, BER or DER
 * @param maxOctets of the content
 * @throws SealgateError `cms.malformed`
 */
export async function decompress(octets: Buffer, maxOctets: number): Promise<DecompressOutcome> {
  const { algorithm, contentType, compressed } = reading('CompressedData', () => readCompressedData(octets));
  if (algorithm !== zlib) return { outcome: 'failed' };
  const { inflatedOctets, inflation } = limits.cms;
  const plausible = Math.max(inflatedOctets, compressed.length * inflation);
  const maxOutputLength = Math.min(maxOctets, plausible);
  // zlib takes no bound of 0.
  if (maxOutputLength < 1) return { outcome: 'failed' };
  try {
    return { outcome: 'opened', contentType, content: await unpack(compressed, { maxOutputLength }) };
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

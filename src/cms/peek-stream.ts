import { readBeginning } from '../asn1/read-stream.ts';
import type { RereadableOctets } from '../octets/source.ts';
import { enterContentInfo } from './content-info.ts';
import { readingStream } from './malformed.ts';

/**
 * contentType of a ContentInfo: what a message is. Only its first octets are read; what follows may be anything.
 *
 * @throws SealgateError `cms.malformed`, and what the source throws
 */
export function peekContentType(source: RereadableOctets): Promise<string> {
  return readingStream('ContentInfo', () => readBeginning(source.read(), enterContentInfo));
}

import { readBeginning } from '../asn1/read-stream.ts';
import type { RereadableOctets } from '../octets/source.ts';
import { enterContentInfo } from './content-info.ts';
import { readEnvelopedStream } from './decrypt-stream.ts';
import { certificateRecipients } from './enveloped-data.ts';
import type { CertificateIdentifier } from './identifiers.ts';
import { readingStream } from './malformed.ts';

/** What a message is, without opening it. Both throw SealgateError `cms.malformed` and the source's own. */

/** contentType of a ContentInfo. Only its first octets are read: what follows may be anything. */
export function peekContentType(source: RereadableOctets): Promise<string> {
  return readingStream('ContentInfo', () => readBeginning(source.read(), enterContentInfo));
}

/** `peekRecipients` for a message of any size, all of which is read. */
export async function peekRecipientsOfStream(source: RereadableOctets): Promise<CertificateIdentifier[]> {
  return certificateRecipients((await readEnvelopedStream(source)).enveloped);
}

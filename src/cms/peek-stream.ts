import type { RereadableOctets } from '../octets/source.ts';
import type { CertificateIdentifier } from './identifiers.ts';

/** contentType of a ContentInfo, from its first octets. @throws SealgateError `cms.malformed` */
export function peekContentType(_source: RereadableOctets): Promise<string> {
  throw new Error('not there yet');
}

/** `peekRecipients` for a message of any size. @throws SealgateError `cms.malformed` */
export function peekRecipientsOfStream(_source: RereadableOctets): Promise<CertificateIdentifier[]> {
  throw new Error('not there yet');
}

import { oid, sequence } from '../../../src/asn1/writer.ts';
import { extension, generalName } from '../../pki/make-certificate.ts';

/** RFC 5280 §4.2.2.1 with responders. */
export function authorityInfoAccess(...urls: string[]): Buffer {
  return extension(
    '1.3.6.1.5.5.7.1.1',
    sequence(...urls.map((url) => sequence(oid('1.3.6.1.5.5.7.48.1'), generalName.uri(url)))),
  );
}

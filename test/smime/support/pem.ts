import type { Certificate } from '../../../src/pki/certificate.ts';
import { readCertificates } from '../../../src/pki/certificate-file.ts';

/** The first certificate of a PEM text. */
export function parsePem(pem: string): Certificate {
  const [certificate] = readCertificates(Buffer.from(pem));
  if (certificate === undefined) throw new Error('no certificate in the PEM text');
  return certificate;
}

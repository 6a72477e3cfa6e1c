import { element } from '../../../src/asn1/writer.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';

/** SignedData with certificates and without signers (RFC 5652 §5.1), as userSMIMECertificate holds it. */
export function certsOnly(certificates: readonly Certificate[]): Buffer {
  const signedData = element(
    0x30,
    element(0x02, Buffer.from([1])),
    element(0x31),
    element(0x30, Buffer.from('06092a864886f70d010701', 'hex')),
    element(0xa0, ...certificates.map(({ der }) => der)),
    element(0x31),
  );
  return element(0x30, Buffer.from('06092a864886f70d010702', 'hex'), element(0xa0, signedData));
}

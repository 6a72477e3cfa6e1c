import pkcs11 from 'pkcs11js';
import type { TokenObjectReader } from './token-object-reader.ts';

/** A certificate object; `id` null: the token says none. */
export type TokenCertificate = { id: Buffer | null; label: string; der: Buffer };

/** X.509 certificates only (CKC_X_509), unread. */
export function readCertificateObjects(reader: TokenObjectReader): TokenCertificate[] {
  const certificates: TokenCertificate[] = [];
  for (const object of reader.find(pkcs11.CKO_CERTIFICATE)) {
    const der = reader.octets(object, pkcs11.CKA_VALUE);
    if (der === null) continue;
    const id = reader.octets(object, pkcs11.CKA_ID);
    certificates.push({ id, label: reader.text(object, pkcs11.CKA_LABEL), der });
  }
  return certificates;
}

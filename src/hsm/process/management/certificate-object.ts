import pkcs11 from 'pkcs11js';
import { readWhole } from '../../../asn1/reader.ts';
import { sequenceOf } from '../../../asn1/sequence-reader.ts';
import * as der from '../../../asn1/writer.ts';
import { parseCertificate } from '../../../pki/certificate.ts';

/** Most programs look for CKA_SUBJECT, CKA_ISSUER and CKA_SERIAL_NUMBER (PKCS#11 v2.40, X.509 certificate objects). */
export function certificateTemplate(
  certificate: Buffer,
  { id, label }: { id: Buffer | null; label: string },
): pkcs11.Template {
  const { issuer, subject } = namesOf(certificate);
  return [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_CERTIFICATE },
    { type: pkcs11.CKA_CERTIFICATE_TYPE, value: pkcs11.CKC_X_509 },
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_PRIVATE, value: false },
    { type: pkcs11.CKA_LABEL, value: label },
    ...(id === null ? [] : [{ type: pkcs11.CKA_ID, value: id }]),
    { type: pkcs11.CKA_SUBJECT, value: subject },
    { type: pkcs11.CKA_ISSUER, value: issuer },
    { type: pkcs11.CKA_SERIAL_NUMBER, value: der.integer(parseCertificate(certificate).serialNumber) },
    { type: pkcs11.CKA_VALUE, value: certificate },
  ];
}

/** DER of the names, as the certificate has them. */
function namesOf(certificate: Buffer): { issuer: Buffer; subject: Buffer } {
  const tbs = sequenceOf(parseTbs(certificate), 'DER', 'tbsCertificate');
  tbs.optionalExplicit(0);
  tbs.next('serialNumber');
  tbs.next('signature');
  const issuer = tbs.next('issuer').raw;
  tbs.next('validity');
  return { issuer, subject: tbs.next('subject').raw };
}

function parseTbs(certificate: Buffer) {
  return readWhole(parseCertificate(certificate).tbs, 'DER');
}

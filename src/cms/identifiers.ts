import { type Element, implicitly, isContext, universal } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { definiteLengths } from '../asn1/transcode.ts';
import { integerOctets, octetString } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import type { Certificate } from '../pki/certificate.ts';
import { keyIdentifier } from '../pki/key-identifier.ts';
import { parseName, sameName } from '../pki/name.ts';
import { isUnreadable } from './malformed.ts';

/** How CMS names a certificate: SignerIdentifier, RecipientIdentifier, KeyAgreeRecipientIdentifier (RFC 5652). */
export type CertificateIdentifier =
  | {
      kind: 'issuer-and-serial';
      /** Name as encoded in the message, BER or DER. */
      issuer: Buffer;
      /** Content octets of the INTEGER. */
      serialNumber: Buffer;
    }
  | { kind: 'subject-key-identifier'; value: Buffer };

/** `IssuerAndSerialNumber ::= SEQUENCE { issuer Name, serialNumber CertificateSerialNumber }` (RFC 5652 §10.2.4). */
export function readIssuerAndSerial(element: Element): CertificateIdentifier {
  const reader = sequenceOf(element, 'BER', 'IssuerAndSerialNumber');
  const issuer = reader.universal(universal.sequence, 'issuer');
  const serialNumber = integerOctets(reader.next('serialNumber'));
  reader.end();
  return { kind: 'issuer-and-serial', issuer: issuer.raw, serialNumber };
}

/** SignerIdentifier and RecipientIdentifier: IssuerAndSerialNumber or `[0] SubjectKeyIdentifier`. */
export function readCertificateIdentifier(element: Element): CertificateIdentifier {
  if (!isContext(element, 0)) return readIssuerAndSerial(element);
  const value = octetString(implicitly(element, universal.octetString), 'BER');
  return { kind: 'subject-key-identifier', value };
}

/** Whether `identifier` names `certificate`. Names are compared by RFC 5280 §7.1, since writers re-encode them. */
export function identifies(identifier: CertificateIdentifier, certificate: Certificate): boolean {
  if (identifier.kind === 'subject-key-identifier') {
    // Without the extension: the identifier that writers compute for themselves (RFC 5280 §4.2.1.2, method 1).
    const known = certificate.subjectKeyIdentifier ?? keyIdentifier(certificate.subjectPublicKeyInfo);
    return known.equals(identifier.value);
  }
  if (!identifier.serialNumber.equals(certificate.serialNumber)) return false;
  if (identifier.issuer.equals(certificate.issuer.der)) return true;
  try {
    return sameName(
      parseName(readWhole(definiteLengths(readWhole(identifier.issuer, 'BER')), 'DER')),
      certificate.issuer,
    );
  } catch (error) {
    // A name that cannot be read is nobody's name.
    if (isUnreadable(error)) return false;
    throw error;
  }
}

export function issuerAndSerial(certificate: Certificate): Buffer {
  return der.sequence(certificate.issuer.der, der.integer(certificate.serialNumber));
}

import * as der from '../asn1/writer.ts';
import type { Certificate } from '../pki/certificate.ts';
import { type ContentEncryptionName, encryptContent } from './content-encryption.ts';
import { contentInfo } from './content-info.ts';
import { issuerAndSerial } from './identifiers.ts';
import { agreeOnKey, canAgree, unsupportedRecipient } from './key-agreement.ts';
import { canTransportKeys, type KeyTransportName, transportKey } from './key-transport.ts';
import { contentTypes } from './oids.ts';

export type EncryptRequest = {
  content: Uint8Array;
  /** At least one. Everybody who reads the message can read this list: callers keep Bcc recipients apart. */
  recipients: readonly RecipientRequest[];
  algorithm: ContentEncryptionName;
};

export type RecipientRequest = {
  certificate: Certificate;
  /** For RSA keys; PKCS#1 v1.5 when absent, which everybody reads. */
  keyTransport?: KeyTransportName;
};

/**
 * Encrypts for all recipients or for none: AuthEnvelopedData (RFC 5083) with GCM, EnvelopedData (RFC 5652 §6) with CBC.
 * RecipientInfos stand in DER order, so nothing tells in which order the recipients were given; a certificate that is
 * given twice appears once.
 *
 * @returns DER ContentInfo
 * @throws SealgateError `cms.unsupported-recipient`, `pki.unsupported-key`
 */
export async function encrypt(request: EncryptRequest): Promise<Buffer> {
  const recipients = new Map(request.recipients.map((one) => [one.certificate.fingerprint, one]));
  if (recipients.size === 0) throw unsupportedRecipient('no recipient');
  const encrypted = encryptContent(request.algorithm, request.content);
  const infos = await Promise.all([...recipients.values()].map((one) => recipientInfo(one, encrypted.key)));
  encrypted.key.fill(0);

  const recipientInfos = der.setOf(infos.map(({ octets }) => octets));
  const { sequence, primitive0 } = der.identifiers;
  const content = der.pieces(sequence, [
    der.oid(contentTypes.data),
    encrypted.algorithm,
    ...der.pieces(primitive0, [encrypted.ciphertext]),
  ]);
  if (encrypted.mac !== null) {
    // RFC 5083 §2.1: the version is always 0, and id-data needs no authAttrs.
    const mac = der.octetString(encrypted.mac);
    const body = der.pieces(sequence, [der.integer(0), recipientInfos, ...content, mac]);
    return contentInfo(contentTypes.authEnvelopedData, ...body);
  }
  // RFC 5652 §6.1: 0 when all RecipientInfos have version 0.
  const version = infos.every((info) => info.version === 0) ? 0 : 2;
  const body = der.pieces(sequence, [der.integer(version), recipientInfos, ...content]);
  return contentInfo(contentTypes.envelopedData, ...body);
}

type WrittenInfo = { version: number; octets: Buffer };

async function recipientInfo(
  { certificate, keyTransport }: RecipientRequest,
  key: Buffer,
): Promise<WrittenInfo> {
  if (canTransportKeys(certificate)) {
    const { algorithm, encryptedKey } = transportKey(keyTransport ?? 'rsa-pkcs1', certificate, key);
    const octets = der.sequence(
      der.integer(0),
      issuerAndSerial(certificate),
      algorithm,
      der.octetString(encryptedKey),
    );
    return { version: 0, octets };
  }
  if (!canAgree(certificate)) throw unsupportedRecipient(`key algorithm ${certificate.keyAlgorithm}`);
  const agreed = await agreeOnKey(certificate, key);
  const originatorKey = der.sequence(agreed.originatorAlgorithm, der.bitString(agreed.originatorPublicKey));
  const encryptedKey = der.sequence(issuerAndSerial(certificate), der.octetString(agreed.encryptedKey));
  const body = der.sequence(
    der.integer(3),
    der.explicit(0, der.implicit(1, originatorKey)),
    agreed.algorithm,
    der.sequence(encryptedKey),
  );
  return { version: 3, octets: der.implicit(1, body) };
}

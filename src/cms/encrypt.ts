import * as der from '../asn1/writer.ts';
import { type ContentEncryptionName, encryptContent } from './content-encryption.ts';
import { contentInfo } from './content-info.ts';
import { unsupportedRecipient } from './key-agreement.ts';
import { contentTypes } from './oids.ts';
import {
  certificateRecipientInfo,
  type RecipientRequest,
  type SecretRecipient,
  secretRecipientInfo,
} from './recipient-info-writer.ts';

export type { RecipientRequest, SecretRecipient };

export type EncryptRequest = {
  content: Uint8Array;
  /** At least one, here or among `secrets`. Everybody who reads the message can read this list: callers keep Bcc recipients apart. */
  recipients: readonly RecipientRequest[];
  algorithm: ContentEncryptionName;
  /** Recipients without a certificate. */
  secrets?: readonly SecretRecipient[];
  /**
   * Whether certificates with ML-KEM keys (RFC 9936) are served; false when absent, which refuses them: few programs
   * read such messages yet.
   */
  postQuantum?: boolean;
  /** Whether the content key is bound to its algorithm (RFC 9709); false when absent: few programs read that yet. */
  boundKey?: boolean;
};

/**
 * Encrypts for all recipients or for none: AuthEnvelopedData (RFC 5083) with GCM, CCM and ChaCha20-Poly1305, EnvelopedData (RFC 5652
 * §6) with CBC.
 * RecipientInfos stand in DER order, so nothing tells in which order the recipients were given; a certificate that is
 * given twice appears once.
 *
 * @returns DER ContentInfo
 * @throws SealgateError `cms.unsupported-recipient`, `pki.unsupported-key`
 */
export async function encrypt(request: EncryptRequest): Promise<Buffer> {
  const { secrets = [], postQuantum = false } = request;
  const recipients = new Map(request.recipients.map((one) => [one.certificate.fingerprint, one]));
  if (recipients.size === 0 && secrets.length === 0) throw unsupportedRecipient('no recipient');
  const encrypted = encryptContent(request.algorithm, request.content, request.boundKey);
  const infos = await Promise.all([
    ...[...recipients.values()].map((one) => certificateRecipientInfo(one, encrypted.key, postQuantum)),
    ...secrets.map((one) => secretRecipientInfo(one, encrypted.key)),
  ]);
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
  // RFC 5652 §6.1: 0 when all RecipientInfos have version 0, 3 when one is for a password or of another kind.
  const version = Math.max(...infos.map(({ envelope }) => envelope));
  const body = der.pieces(sequence, [der.integer(version), recipientInfos, ...content]);
  return contentInfo(contentTypes.envelopedData, ...body);
}

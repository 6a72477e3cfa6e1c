import * as der from '../asn1/writer.ts';
import type { ContentCipher } from './content-cipher.ts';
import { beginEncryption, type ContentEncryptionName } from './content-encryption.ts';
import { contentInfoLevels } from './content-info.ts';
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
  const { content } = request;
  const { head, cipher, tailOf } = await beginEnvelope(request, content.length);
  const ciphertext = cipher.update(content);
  const { rest, mac } = cipher.finish();
  return Buffer.concat([head, ciphertext, rest, tailOf(mac)]);
}

/** A message whose content is still to be encrypted: `head`, ciphertext and `tailOf(mac)` are the whole of it. */
export type Envelope = {
  /** All that stands in front of the ciphertext. */
  head: Buffer;
  ciphertextOctets: number;
  tailOctets: number;
  cipher: ContentCipher;
  tailOf(mac: Buffer | null): Buffer;
};

/** @param octets of the content */
export async function beginEnvelope(
  request: Omit<EncryptRequest, 'content'>,
  octets: number,
): Promise<Envelope> {
  const { secrets = [], postQuantum = false } = request;
  const recipients = new Map(request.recipients.map((one) => [one.certificate.fingerprint, one]));
  if (recipients.size === 0 && secrets.length === 0) throw unsupportedRecipient('no recipient');
  const encryption = beginEncryption(request.algorithm, octets, request.boundKey);
  const { ciphertextOctets, macOctets, cipher } = encryption;
  const infos = await Promise.all([
    ...[...recipients.values()].map((one) => certificateRecipientInfo(one, encryption.key, postQuantum)),
    ...secrets.map((one) => secretRecipientInfo(one, encryption.key)),
  ]);
  encryption.key.fill(0);

  const authenticated = macOctets > 0;
  // RFC 5083 §2.1: the version is always 0, and id-data needs no authAttrs. RFC 5652 §6.1: 0 when all RecipientInfos have
  // version 0, 3 when one is for a password or of another kind.
  const version = authenticated ? 0 : Math.max(...infos.map(({ envelope }) => envelope));
  const tailOctets = authenticated ? der.header(0, macOctets).length + macOctets : 0;
  const { sequence, primitive0 } = der.identifiers;
  const recipientInfos = der.setOf(infos.map((info) => info.octets));
  const head = der.headAround(ciphertextOctets, [
    { identifier: primitive0 },
    { identifier: sequence, before: [der.oid(contentTypes.data), encryption.algorithm] },
    { identifier: sequence, before: [der.integer(version), recipientInfos], after: tailOctets },
    ...contentInfoLevels(authenticated ? contentTypes.authEnvelopedData : contentTypes.envelopedData),
  ]);
  return {
    head,
    ciphertextOctets,
    tailOctets,
    cipher,
    tailOf: (mac) => (mac === null ? Buffer.alloc(0) : der.octetString(mac)),
  };
}

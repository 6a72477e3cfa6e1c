import { implicitly, isContext, universal } from '../asn1/element.ts';
import { type SequenceReader, sequenceOf } from '../asn1/sequence-reader.ts';
import { objectIdentifier, octetString, smallInteger } from '../asn1/values.ts';
import { type AlgorithmIdentifier, readAlgorithmIdentifier } from './algorithm-identifier.ts';
import { type CoveredAttributes, readAttributes, readCoveredAttributes } from './attributes.ts';
import { readContentInfo } from './content-info.ts';
import type { CertificateIdentifier } from './identifiers.ts';
import { malformed, reading } from './malformed.ts';
import { contentTypes } from './oids.ts';
import { type RecipientInfo, readRecipientInfos } from './recipient-infos.ts';

/** EnvelopedData (RFC 5652 §6.1) or AuthEnvelopedData (RFC 5083 §2.1), taken apart. */
export type EnvelopedData = {
  kind: 'enveloped' | 'auth-enveloped';
  recipientInfos: readonly RecipientInfo[];
  /** Of what is inside. */
  contentType: string;
  algorithm: AlgorithmIdentifier;
  ciphertext: Buffer;
  /** null: EnvelopedData. */
  mac: Buffer | null;
  /** null: none. */
  authenticatedAttributes: CoveredAttributes | null;
};

/**
 * Reads a ContentInfo with EnvelopedData or AuthEnvelopedData, BER or DER.
 *
 * @throws SealgateError `cms.malformed`
 */
export function readEnvelopedData(octets: Buffer): EnvelopedData {
  return reading('EnvelopedData', () => {
    const info = readContentInfo(octets);
    if (info.contentType === contentTypes.authEnvelopedData) return readAuthEnveloped(info.content);
    if (info.contentType !== contentTypes.envelopedData) {
      throw malformed(`EnvelopedData expected, ${info.contentType} found`);
    }
    return readEnveloped(info.content);
  });
}

/**
 * Whom a message is encrypted for, without decrypting anything: for classification. Recipients without a certificate
 * are left out.
 *
 * @throws SealgateError `cms.malformed`
 */
export function peekRecipients(octets: Buffer): CertificateIdentifier[] {
  return readEnvelopedData(octets).recipientInfos.flatMap((info) =>
    info.kind === 'shared-key' || info.kind === 'password' ? [] : [info.identifier],
  );
}

/**
 * `EnvelopedData ::= SEQUENCE { version, originatorInfo [0] OPTIONAL, recipientInfos, encryptedContentInfo,
 * unprotectedAttrs [1] OPTIONAL }`
 */
function readEnveloped(element: Parameters<typeof sequenceOf>[0]): EnvelopedData {
  const reader = sequenceOf(element, 'BER', 'EnvelopedData');
  smallInteger(reader.next('version'));
  reader.optionalContext(0);
  const recipientInfos = readRecipientInfos(reader.universal(universal.set, 'recipientInfos'));
  const encrypted = readEncryptedContentInfo(reader.sequence('encryptedContentInfo'));
  const unprotected = reader.optionalContext(1);
  if (unprotected !== null) readAttributes(unprotected);
  reader.end();
  return { kind: 'enveloped', recipientInfos, ...encrypted, mac: null, authenticatedAttributes: null };
}

/**
 * `AuthEnvelopedData ::= SEQUENCE { version, originatorInfo [0] OPTIONAL, recipientInfos, authEncryptedContentInfo,
 * authAttrs [1] OPTIONAL, mac, unauthAttrs [2] OPTIONAL }`. What follows the mac is taken as unauthAttrs under [1]
 * too, as some writers have it; nothing rests on it.
 */
function readAuthEnveloped(element: Parameters<typeof sequenceOf>[0]): EnvelopedData {
  const reader = sequenceOf(element, 'BER', 'AuthEnvelopedData');
  smallInteger(reader.next('version'));
  reader.optionalContext(0);
  const recipientInfos = readRecipientInfos(reader.universal(universal.set, 'recipientInfos'));
  const encrypted = readEncryptedContentInfo(reader.sequence('authEncryptedContentInfo'));
  const authAttrs = reader.optionalContext(1);
  const mac = octetString(reader.next('mac'), 'BER');
  const unauthenticated = reader.optionalContext(1) ?? reader.optionalContext(2);
  if (unauthenticated !== null) readAttributes(unauthenticated);
  reader.end();
  return {
    kind: 'auth-enveloped',
    recipientInfos,
    ...encrypted,
    mac,
    authenticatedAttributes: authAttrs === null ? null : readCoveredAttributes(authAttrs),
  };
}

type EncryptedContentInfo = Pick<EnvelopedData, 'contentType' | 'algorithm' | 'ciphertext'>;

/** `EncryptedContentInfo ::= SEQUENCE { contentType, contentEncryptionAlgorithm, encryptedContent [0] IMPLICIT OPTIONAL }`. */
function readEncryptedContentInfo(reader: SequenceReader): EncryptedContentInfo {
  const contentType = objectIdentifier(reader.next('contentType'));
  const algorithm = readAlgorithmIdentifier(reader.next('contentEncryptionAlgorithm'));
  const content = reader.next('encryptedContent');
  reader.end();
  if (!isContext(content, 0)) throw malformed('encryptedContent has the wrong tag');
  return {
    contentType,
    algorithm,
    ciphertext: octetString(implicitly(content, universal.octetString), 'BER'),
  };
}

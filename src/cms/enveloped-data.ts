import { universal } from '../asn1/element.ts';
import type { IncrementalReader } from '../asn1/incremental-reader.ts';
import { readOctets } from '../asn1/read-octets.ts';
import { objectIdentifier, octetString, smallInteger } from '../asn1/values.ts';
import { type AlgorithmIdentifier, readAlgorithmIdentifier } from './algorithm-identifier.ts';
import { type CoveredAttributes, readAttributes, readCoveredAttributes } from './attributes.ts';
import { enterContentInfo, leaveContentInfo } from './content-info.ts';
import type { CertificateIdentifier } from './identifiers.ts';
import { malformed, reading } from './malformed.ts';
import { contentTypes } from './oids.ts';
import { type RecipientInfo, readRecipientInfos } from './recipient-infos.ts';

/** EnvelopedData (RFC 5652 §6.1) or AuthEnvelopedData (RFC 5083 §2.1), taken apart; its ciphertext is elsewhere. */
export type EnvelopedStructure = {
  kind: 'enveloped' | 'auth-enveloped';
  recipientInfos: readonly RecipientInfo[];
  /** Of what is inside. */
  contentType: string;
  algorithm: AlgorithmIdentifier;
  /** null: EnvelopedData. */
  mac: Buffer | null;
  /** null: none. */
  authenticatedAttributes: CoveredAttributes | null;
};

export type EnvelopedData = EnvelopedStructure & { ciphertext: Buffer };

/**
 * Reads a ContentInfo with EnvelopedData or AuthEnvelopedData, BER or DER.
 *
 * @throws SealgateError `cms.malformed`
 */
export function readEnvelopedData(octets: Buffer): EnvelopedData {
  return reading('EnvelopedData', () => {
    const { value, content } = readOctets(octets, envelopedDataGrammar);
    return { ...value, ciphertext: content };
  });
}

/**
 * Whom a message is encrypted for, without decrypting anything: for classification. Recipients without a certificate
 * are left out.
 *
 * @throws SealgateError `cms.malformed`
 */
export function peekRecipients(octets: Buffer): CertificateIdentifier[] {
  return certificateRecipients(readEnvelopedData(octets));
}

/** The recipients with a certificate. */
export function certificateRecipients({
  recipientInfos,
}: Pick<EnvelopedStructure, 'recipientInfos'>): CertificateIdentifier[] {
  return recipientInfos.flatMap((info) =>
    info.kind === 'shared-key' || info.kind === 'password' ? [] : [info.identifier],
  );
}

/** What stands in front of the content. */
type EnvelopedHead = Pick<EnvelopedStructure, 'kind' | 'recipientInfos' | 'contentType' | 'algorithm'>;

/** The content is the ciphertext. */
export const envelopedDataGrammar = {
  /**
   * `EnvelopedData ::= SEQUENCE { version, originatorInfo [0] OPTIONAL, recipientInfos, encryptedContentInfo … }`,
   * `EncryptedContentInfo ::= SEQUENCE { contentType, contentEncryptionAlgorithm, encryptedContent [0] IMPLICIT OPTIONAL }`.
   */
  head(reader: IncrementalReader): EnvelopedHead {
    const { kind, recipientInfos } = readAsFarAsRecipients(reader);
    reader.openUniversal(universal.sequence, 'encryptedContentInfo');
    const contentType = objectIdentifier(reader.element('contentType'));
    const algorithm = readAlgorithmIdentifier(reader.element('contentEncryptionAlgorithm'));
    reader.beginContent('context', 0, 'encryptedContent');
    return { kind, recipientInfos, contentType, algorithm };
  },

  tail(reader: IncrementalReader, head: EnvelopedHead): EnvelopedStructure {
    reader.close();
    const rest = head.kind === 'enveloped' ? tailOfEnveloped(reader) : tailOfAuthEnveloped(reader);
    reader.close();
    leaveContentInfo(reader);
    return { ...head, ...rest };
  },
};

/** Of a structure of which only the beginning may be there. @throws as what the reader throws, and `cms.malformed` */
export function peekedRecipients(reader: IncrementalReader): CertificateIdentifier[] {
  return certificateRecipients(readAsFarAsRecipients(reader));
}

function readAsFarAsRecipients(reader: IncrementalReader): Pick<EnvelopedHead, 'kind' | 'recipientInfos'> {
  const kind = kindOf(enterContentInfo(reader));
  reader.openUniversal(universal.sequence, 'EnvelopedData');
  smallInteger(reader.element('version'));
  reader.optionalContext(0);
  return { kind, recipientInfos: readRecipientInfos(reader.universal(universal.set, 'recipientInfos')) };
}

function kindOf(contentType: string): EnvelopedStructure['kind'] {
  if (contentType === contentTypes.authEnvelopedData) return 'auth-enveloped';
  if (contentType === contentTypes.envelopedData) return 'enveloped';
  throw malformed(`EnvelopedData expected, ${contentType} found`);
}

type EnvelopedTail = Pick<EnvelopedStructure, 'mac' | 'authenticatedAttributes'>;

/** `… unprotectedAttrs [1] OPTIONAL }` */
function tailOfEnveloped(reader: IncrementalReader): EnvelopedTail {
  const unprotected = reader.optionalContext(1);
  if (unprotected !== null) readAttributes(unprotected);
  return { mac: null, authenticatedAttributes: null };
}

/**
 * `… authAttrs [1] OPTIONAL, mac, unauthAttrs [2] OPTIONAL }`. What follows the mac is taken as unauthAttrs under [1] too,
 * as some writers have it; nothing rests on it.
 */
function tailOfAuthEnveloped(reader: IncrementalReader): EnvelopedTail {
  const authAttrs = reader.optionalContext(1);
  const mac = octetString(reader.element('mac'), 'BER');
  const unauthenticated = reader.optionalContext(1) ?? reader.optionalContext(2);
  if (unauthenticated !== null) readAttributes(unauthenticated);
  return { mac, authenticatedAttributes: authAttrs === null ? null : readCoveredAttributes(authAttrs) };
}

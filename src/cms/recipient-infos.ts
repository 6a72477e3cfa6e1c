import { type Element, implicitly, isContext, isUniversal, universal } from '../asn1/element.ts';
import { children } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { octetString, smallInteger, wholeBitString } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { type AlgorithmIdentifier, readAlgorithmIdentifier } from './algorithm-identifier.ts';
import { type CertificateIdentifier, readCertificateIdentifier, readIssuerAndSerial } from './identifiers.ts';
import { malformed } from './malformed.ts';

/** One recipient with one encrypted key; a KeyAgreeRecipientInfo for several gives several (RFC 5652 §6.2). */
export type RecipientInfo =
  | {
      kind: 'key-transport';
      identifier: CertificateIdentifier;
      algorithm: AlgorithmIdentifier;
      encryptedKey: Buffer;
    }
  | {
      kind: 'key-agreement';
      identifier: CertificateIdentifier;
      originator: { algorithm: AlgorithmIdentifier; publicKey: Buffer };
      ukm: Buffer | null;
      algorithm: AlgorithmIdentifier;
      encryptedKey: Buffer;
    };

/**
 * `RecipientInfos ::= SET SIZE (1..MAX) OF RecipientInfo`. Recipients without a certificate (shared keys, passwords,
 * others) and static originator keys are left out: no key of ours opens them.
 *
 * @throws SealgateError `asn1.malformed`, `cms.malformed`
 */
export function readRecipientInfos(element: Element): RecipientInfo[] {
  const infos = children(element, 'BER');
  if (infos.length === 0) throw malformed('no recipientInfos');
  const found: RecipientInfo[] = [];
  for (const info of infos) {
    if (isUniversal(info, universal.sequence)) found.push(readKeyTransport(info));
    else if (isContext(info, 1)) found.push(...readKeyAgreement(implicitly(info, universal.sequence)));
    else if (info.tagClass !== 'context' || info.tag > 4) throw malformed('an unknown kind of RecipientInfo');
    if (found.length > limits.cms.recipientInfos) throw malformed('too many recipientInfos');
  }
  if (infos.length > limits.cms.recipientInfos) throw malformed('too many recipientInfos');
  return found;
}

/** `KeyTransRecipientInfo ::= SEQUENCE { version, rid, keyEncryptionAlgorithm, encryptedKey }` (RFC 5652 §6.2.1). */
function readKeyTransport(element: Element): RecipientInfo {
  const reader = sequenceOf(element, 'BER', 'KeyTransRecipientInfo');
  smallInteger(reader.next('version'));
  const identifier = readCertificateIdentifier(reader.next('rid'));
  const algorithm = readAlgorithmIdentifier(reader.next('keyEncryptionAlgorithm'));
  const encryptedKey = octetString(reader.next('encryptedKey'), 'BER');
  reader.end();
  return { kind: 'key-transport', identifier, algorithm, encryptedKey };
}

/**
 * `KeyAgreeRecipientInfo ::= SEQUENCE { version, originator [0] EXPLICIT, ukm [1] EXPLICIT OPTIONAL,
 * keyEncryptionAlgorithm, recipientEncryptedKeys }` (RFC 5652 §6.2.2).
 */
function readKeyAgreement(element: Element): RecipientInfo[] {
  const reader = sequenceOf(element, 'BER', 'KeyAgreeRecipientInfo');
  smallInteger(reader.next('version'));
  const originator = reader.optionalExplicit(0);
  if (originator === null) throw malformed('KeyAgreeRecipientInfo without originator');
  const ukmElement = reader.optionalExplicit(1);
  const ukm = ukmElement === null ? null : octetString(ukmElement, 'BER');
  const algorithm = readAlgorithmIdentifier(reader.next('keyEncryptionAlgorithm'));
  const keys = children(reader.universal(universal.sequence, 'recipientEncryptedKeys'), 'BER');
  reader.end();
  if (keys.length > limits.cms.recipientInfos) throw malformed('too many recipientEncryptedKeys');
  // originatorKey [1]; the other choices name a certificate of the sender's (static-static, RFC 5753 §3.1.1 forbids it).
  if (!isContext(originator, 1)) return [];
  const key = sequenceOf(implicitly(originator, universal.sequence), 'BER', 'OriginatorPublicKey');
  const originatorAlgorithm = readAlgorithmIdentifier(key.next('algorithm'));
  const publicKey = wholeBitString(key.next('publicKey'), 'BER');
  key.end();
  return keys.map((encrypted) => {
    const pair = sequenceOf(encrypted, 'BER', 'RecipientEncryptedKey');
    const identifier = readAgreementIdentifier(pair.next('rid'));
    const encryptedKey = octetString(pair.next('encryptedKey'), 'BER');
    pair.end();
    return {
      kind: 'key-agreement',
      identifier,
      originator: { algorithm: originatorAlgorithm, publicKey },
      ukm,
      algorithm,
      encryptedKey,
    };
  });
}

/** KeyAgreeRecipientIdentifier: IssuerAndSerialNumber or `rKeyId [0] IMPLICIT SEQUENCE { subjectKeyIdentifier, … }`. */
function readAgreementIdentifier(element: Element): CertificateIdentifier {
  if (!isContext(element, 0)) return readIssuerAndSerial(element);
  const reader = sequenceOf(implicitly(element, universal.sequence), 'BER', 'RecipientKeyIdentifier');
  // date and other, which may follow, only help to find the key.
  return {
    kind: 'subject-key-identifier',
    value: octetString(reader.next('subjectKeyIdentifier'), 'BER'),
  };
}

import { type Element, implicitly, isContext, isUniversal, universal } from '../asn1/element.ts';
import { children } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { objectIdentifier, octetString, smallInteger, wholeBitString } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { type AlgorithmIdentifier, readAlgorithmIdentifier } from './algorithm-identifier.ts';
import { type CertificateIdentifier, readCertificateIdentifier, readIssuerAndSerial } from './identifiers.ts';
import { malformed } from './malformed.ts';
import { otherRecipientTypes } from './oids.ts';

/** One recipient with one encrypted key; a KeyAgreeRecipientInfo for several gives several (RFC 5652 §6.2). */
export type RecipientInfo = CertificateRecipientInfo | SharedKeyInfo | PasswordInfo;

/** For the holder of a certificate's private key. */
export type CertificateRecipientInfo = KeyTransportInfo | KeyAgreementInfo | KeyEncapsulationInfo;

export type KeyTransportInfo = {
  kind: 'key-transport';
  identifier: CertificateIdentifier;
  algorithm: AlgorithmIdentifier;
  encryptedKey: Buffer;
};

export type KeyAgreementInfo = {
  kind: 'key-agreement';
  identifier: CertificateIdentifier;
  originator: { algorithm: AlgorithmIdentifier; publicKey: Buffer };
  ukm: Buffer | null;
  algorithm: AlgorithmIdentifier;
  encryptedKey: Buffer;
};

export type KeyEncapsulationInfo = {
  kind: 'key-encapsulation';
  identifier: CertificateIdentifier;
  kem: AlgorithmIdentifier;
  ciphertext: Buffer;
  kdf: AlgorithmIdentifier;
  /** kekLength, octets. */
  kekOctets: number;
  ukm: Buffer | null;
  wrap: AlgorithmIdentifier;
  encryptedKey: Buffer;
};

/** For whoever holds a key that was handed over before. */
export type SharedKeyInfo = {
  kind: 'shared-key';
  keyIdentifier: Buffer;
  algorithm: AlgorithmIdentifier;
  encryptedKey: Buffer;
};

export type PasswordInfo = {
  kind: 'password';
  /** null: derived by other means. */
  derivation: AlgorithmIdentifier | null;
  algorithm: AlgorithmIdentifier;
  encryptedKey: Buffer;
};

/**
 * `RecipientInfos ::= SET SIZE (1..MAX) OF RecipientInfo`. Other recipients than those with a KEM and static originator
 * keys are left out: no key of ours opens them.
 *
 * @throws SealgateError `asn1.malformed`, `cms.malformed`
 */
export function readRecipientInfos(element: Element): RecipientInfo[] {
  const infos = children(element, 'BER');
  if (infos.length === 0) throw malformed('no recipientInfos');
  const found: RecipientInfo[] = [];
  for (const info of infos) {
    found.push(...readRecipientInfo(info));
    if (found.length > limits.cms.recipientInfos) throw malformed('too many recipientInfos');
  }
  if (infos.length > limits.cms.recipientInfos) throw malformed('too many recipientInfos');
  return found;
}

/** `RecipientInfo ::= CHOICE { ktri, kari [1], kekri [2], pwri [3], ori [4] }`, all tags IMPLICIT (RFC 5652 §6.2). */
function readRecipientInfo(info: Element): RecipientInfo[] {
  if (isUniversal(info, universal.sequence)) return [readKeyTransport(info)];
  if (info.tagClass !== 'context') throw malformed('an unknown kind of RecipientInfo');
  switch (info.tag) {
    case 1:
      return readKeyAgreement(implicitly(info, universal.sequence));
    case 2:
      return [readSharedKey(implicitly(info, universal.sequence))];
    case 3:
      return [readPassword(implicitly(info, universal.sequence))];
    case 4:
      return readOther(implicitly(info, universal.sequence));
    default:
      throw malformed('an unknown kind of RecipientInfo');
  }
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

/** `KEKRecipientInfo ::= SEQUENCE { version, kekid, keyEncryptionAlgorithm, encryptedKey }` (RFC 5652 §6.2.3). */
function readSharedKey(element: Element): RecipientInfo {
  const reader = sequenceOf(element, 'BER', 'KEKRecipientInfo');
  smallInteger(reader.next('version'));
  // KEKIdentifier ::= SEQUENCE { keyIdentifier, date OPTIONAL, other OPTIONAL }; the latter only help to find the key.
  const keyIdentifier = octetString(reader.sequence('kekid').next('keyIdentifier'), 'BER');
  const algorithm = readAlgorithmIdentifier(reader.next('keyEncryptionAlgorithm'));
  const encryptedKey = octetString(reader.next('encryptedKey'), 'BER');
  reader.end();
  return { kind: 'shared-key', keyIdentifier, algorithm, encryptedKey };
}

/**
 * `PasswordRecipientInfo ::= SEQUENCE { version, keyDerivationAlgorithm [0] IMPLICIT OPTIONAL, keyEncryptionAlgorithm,
 * encryptedKey }` (RFC 5652 §6.2.4).
 */
function readPassword(element: Element): RecipientInfo {
  const reader = sequenceOf(element, 'BER', 'PasswordRecipientInfo');
  smallInteger(reader.next('version'));
  const derivation = reader.optionalContext(0);
  const algorithm = readAlgorithmIdentifier(reader.next('keyEncryptionAlgorithm'));
  const encryptedKey = octetString(reader.next('encryptedKey'), 'BER');
  reader.end();
  return {
    kind: 'password',
    derivation:
      derivation === null ? null : readAlgorithmIdentifier(implicitly(derivation, universal.sequence)),
    algorithm,
    encryptedKey,
  };
}

/** `OtherRecipientInfo ::= SEQUENCE { oriType, oriValue ANY }` (RFC 5652 §6.2.5). */
function readOther(element: Element): RecipientInfo[] {
  const reader = sequenceOf(element, 'BER', 'OtherRecipientInfo');
  const type = objectIdentifier(reader.next('oriType'));
  const value = reader.next('oriValue');
  reader.end();
  return type === otherRecipientTypes.kem ? [readKeyEncapsulation(value)] : [];
}

/**
 * `KEMRecipientInfo ::= SEQUENCE { version, rid, kem, kemct, kdf, kekLength, ukm [0] EXPLICIT OPTIONAL, wrap,
 * encryptedKey }` (RFC 9629 §3).
 */
function readKeyEncapsulation(element: Element): RecipientInfo {
  const reader = sequenceOf(element, 'BER', 'KEMRecipientInfo');
  smallInteger(reader.next('version'));
  const identifier = readCertificateIdentifier(reader.next('rid'));
  const kem = readAlgorithmIdentifier(reader.next('kem'));
  const ciphertext = octetString(reader.next('kemct'), 'BER');
  const kdf = readAlgorithmIdentifier(reader.next('kdf'));
  const kekOctets = smallInteger(reader.next('kekLength'));
  const ukm = reader.optionalExplicit(0);
  const wrap = readAlgorithmIdentifier(reader.next('wrap'));
  const encryptedKey = octetString(reader.next('encryptedKey'), 'BER');
  reader.end();
  return {
    kind: 'key-encapsulation',
    identifier,
    kem,
    ciphertext,
    kdf,
    kekOctets,
    ukm: ukm === null ? null : octetString(ukm, 'BER'),
    wrap,
    encryptedKey,
  };
}

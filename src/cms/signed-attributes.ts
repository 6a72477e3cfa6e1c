import { implicitly, isContext, isUniversal, universal } from '../asn1/element.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { timeValue } from '../asn1/times.ts';
import { integerOctets, objectIdentifier, octetString } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import type { Certificate } from '../pki/certificate.ts';
import { type AlgorithmIdentifier, readAlgorithmIdentifier } from './algorithm-identifier.ts';
import { type Attribute, attribute, singleValue } from './attributes.ts';
import { type Capability, encodeCapabilityList, readCapabilityList } from './capabilities.ts';
import { digest, digestName } from './digests.ts';
import { type CertificateIdentifier, issuerAndSerial, readIssuerAndSerial } from './identifiers.ts';
import type { DigestName } from './keys.ts';
import { malformed } from './malformed.ts';
import { attributeTypes } from './oids.ts';

/**
 * The single signed attributes: reading for verify.ts, writing for sign.ts. Readers throw SealgateError
 * `asn1.malformed` or `cms.malformed`; null means that the attribute is absent.
 */

/** RFC 5652 §11.3. */
export function readSigningTime(attributes: readonly Attribute[]): Date | null {
  const value = singleValue(attributes, attributeTypes.signingTime);
  return value === null ? null : timeValue(value, 'BER');
}

/** sMIMECapabilities (RFC 8551 §2.5.2) in order of preference. */
export function readCapabilities(attributes: readonly Attribute[]): Capability[] {
  const value = singleValue(attributes, attributeTypes.smimeCapabilities);
  return value === null ? [] : readCapabilityList(value);
}

/**
 * sMIMEEncryptionKeyPreference (RFC 8551 §2.5.3). CHOICE { [0] IssuerAndSerialNumber, [1] RecipientKeyIdentifier,
 * [2] SubjectKeyIdentifier }.
 */
export function readEncryptionKeyPreference(attributes: readonly Attribute[]): CertificateIdentifier | null {
  const value = singleValue(attributes, attributeTypes.encryptionKeyPreference);
  if (value === null) return null;
  if (isContext(value, 0)) return readIssuerAndSerial(implicitly(value, universal.sequence));
  if (isContext(value, 1)) {
    const keyIdentifier = sequenceOf(implicitly(value, universal.sequence), 'BER').next(
      'subjectKeyIdentifier',
    );
    return { kind: 'subject-key-identifier', value: octetString(keyIdentifier, 'BER') };
  }
  if (isContext(value, 2)) {
    const keyIdentifier = octetString(implicitly(value, universal.octetString), 'BER');
    return { kind: 'subject-key-identifier', value: keyIdentifier };
  }
  return null;
}

/** The signer's certificate as signingCertificate or signingCertificateV2 names it (RFC 5035 §3, §4). */
export type EssCertificate = {
  /** null: a digest that is not supported. */
  digest: DigestName | null;
  hash: Buffer;
  serialNumber: Buffer | null;
};

/** The first certificate of the attribute: the signer's (RFC 5035 §5.1). */
export function readSigningCertificate(attributes: readonly Attribute[]): EssCertificate | null {
  const second = singleValue(attributes, attributeTypes.signingCertificateV2);
  const value = second ?? singleValue(attributes, attributeTypes.signingCertificate);
  if (value === null) return null;
  const certs = sequenceOf(value, 'BER', 'SigningCertificate').sequence('certs');
  const identifier = certs.sequence('ESSCertID');
  let name: DigestName | null = second === null ? 'sha1' : 'sha256';
  const algorithm = second === null ? null : identifier.optionalUniversal(universal.sequence);
  if (algorithm !== null) name = digestName(readAlgorithmIdentifier(algorithm));
  const hash = octetString(identifier.next('certHash'), 'BER');
  let serialNumber: Buffer | null = null;
  if (!identifier.atEnd) {
    const issuerSerial = identifier.sequence('issuerSerial');
    issuerSerial.universal(universal.sequence, 'issuer');
    serialNumber = integerOctets(issuerSerial.next('serialNumber'));
    issuerSerial.end();
  }
  identifier.end();
  return { digest: name, hash, serialNumber };
}

export function isNamedBy(certificate: Certificate, identifier: EssCertificate): boolean {
  if (identifier.digest === null) return false;
  if (!digest(identifier.digest, certificate.der).equals(identifier.hash)) return false;
  return identifier.serialNumber === null || identifier.serialNumber.equals(certificate.serialNumber);
}

export type AlgorithmProtection = {
  digestAlgorithm: AlgorithmIdentifier;
  signatureAlgorithm: AlgorithmIdentifier;
};

/**
 * `CMSAlgorithmProtection ::= SEQUENCE { digestAlgorithm, signatureAlgorithm [1] OPTIONAL, macAlgorithm [2] OPTIONAL }`
 * (RFC 6211 §2); in a SignerInfo with signatureAlgorithm and without macAlgorithm.
 */
export function readAlgorithmProtection(attributes: readonly Attribute[]): AlgorithmProtection | null {
  const value = singleValue(attributes, attributeTypes.algorithmProtection);
  if (value === null) return null;
  const reader = sequenceOf(value, 'BER', 'CMSAlgorithmProtection');
  const digestAlgorithm = readAlgorithmIdentifier(reader.next('digestAlgorithm'));
  const tagged = reader.optionalContext(1);
  reader.end();
  if (tagged === null) throw malformed('CMSAlgorithmProtection without signatureAlgorithm');
  return {
    digestAlgorithm,
    signatureAlgorithm: readAlgorithmIdentifier(implicitly(tagged, universal.sequence)),
  };
}

export function contentTypeOf(attributes: readonly Attribute[]): string | null {
  const value = singleValue(attributes, attributeTypes.contentType);
  return value === null ? null : objectIdentifier(value);
}

export function messageDigestOf(attributes: readonly Attribute[]): Buffer | null {
  const value = singleValue(attributes, attributeTypes.messageDigest);
  if (value === null) return null;
  return isUniversal(value, universal.octetString) ? octetString(value, 'BER') : null;
}

/** @param capabilities most preferred first */
export function capabilitiesAttribute(capabilities: readonly Capability[]): Buffer {
  return attribute(attributeTypes.smimeCapabilities, encodeCapabilityList(capabilities));
}

export function encryptionKeyPreferenceAttribute(certificate: Certificate): Buffer {
  return attribute(attributeTypes.encryptionKeyPreference, der.implicit(0, issuerAndSerial(certificate)));
}

/** With SHA-256, which is the default and therefore not encoded (RFC 5035 §4). */
export function signingCertificateAttribute(certificate: Certificate): Buffer {
  const issuer = der.sequence(der.explicit(4, certificate.issuer.der));
  const issuerSerial = der.sequence(issuer, der.integer(certificate.serialNumber));
  const identifier = der.sequence(der.octetString(digest('sha256', certificate.der)), issuerSerial);
  return attribute(attributeTypes.signingCertificateV2, der.sequence(der.sequence(identifier)));
}

/** @param digestAlgorithm encoded @param signatureAlgorithm encoded */
export function algorithmProtectionAttribute(digestAlgorithm: Buffer, signatureAlgorithm: Buffer): Buffer {
  const value = der.sequence(digestAlgorithm, der.implicit(1, signatureAlgorithm));
  return attribute(attributeTypes.algorithmProtection, value);
}

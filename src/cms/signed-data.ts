import { type Element, isUniversal, universal } from '../asn1/element.ts';
import type { IncrementalReader } from '../asn1/incremental-reader.ts';
import { readOctets } from '../asn1/read-octets.ts';
import { children } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { objectIdentifier, octetString, smallInteger } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { type Certificate, parseCertificate } from '../pki/certificate.ts';
import { type AlgorithmIdentifier, readAlgorithmIdentifier } from './algorithm-identifier.ts';
import { type CoveredAttributes, readCoveredAttributes } from './attributes.ts';
import { enterContentInfoOf, leaveContentInfo } from './content-info.ts';
import { type CertificateIdentifier, identifies, readCertificateIdentifier } from './identifiers.ts';
import { isUnreadable, malformed, reading } from './malformed.ts';
import { contentTypes } from './oids.ts';

/**
 * SignedData (RFC 5652 §5), taken apart and not yet believed. Nothing here has been verified: certificates and CRLs
 * are whatever the message carries.
 */
export type SignedData = {
  /** eContentType. */
  contentType: string;
  /** null: detached. */
  content: Buffer | null;
  /** X.509 certificates as encoded; attribute certificates and other kinds are left out. */
  certificates: readonly Buffer[];
  /** CertificateList of RFC 5280 as encoded; other revocation information is left out. */
  crls: readonly Buffer[];
  /** Empty: certs-only (RFC 8551 §3.8). */
  signerInfos: readonly SignerInfo[];
};

export type SignerInfo = {
  identifier: CertificateIdentifier;
  digestAlgorithm: AlgorithmIdentifier;
  /** null: the signature is over the content itself. */
  signedAttributes: CoveredAttributes | null;
  signatureAlgorithm: AlgorithmIdentifier;
  signature: Buffer;
};

/**
 * Reads a ContentInfo with SignedData, BER or DER.
 *
 * @throws SealgateError `cms.malformed`
 */
export function readSignedData(octets: Buffer): SignedData {
  return reading('SignedData', () => {
    const { value, content } = readOctets(octets, signedDataGrammar);
    return { ...value.data, content: value.detached ? null : content };
  });
}

/** What stands in front of the content. */
type SignedHead = {
  contentType: string;
  detached: boolean;
  /** Only for one-pass readers: each SignerInfo names its own. */
  digestAlgorithms: Element;
};

/** The content is eContent. */
export const signedDataGrammar = {
  head(reader: IncrementalReader): SignedHead {
    enterContentInfoOf(reader, contentTypes.signedData, 'SignedData');
    reader.openUniversal(universal.sequence, 'SignedData');
    smallInteger(reader.element('version'));
    const digestAlgorithms = reader.universal(universal.set, 'digestAlgorithms');
    reader.openUniversal(universal.sequence, 'encapContentInfo');
    const contentType = objectIdentifier(reader.element('eContentType'));
    const detached = !reader.openContext(0);
    if (!detached) reader.beginContent('universal', universal.octetString, 'eContent');
    return { contentType, detached, digestAlgorithms };
  },

  tail(reader: IncrementalReader, { contentType, detached }: SignedHead) {
    if (!detached) reader.close();
    reader.close();
    const certificates = reader.optionalContext(0);
    const crls = reader.optionalContext(1);
    const signerInfos = children(reader.universal(universal.set, 'signerInfos'), 'BER');
    reader.close();
    leaveContentInfo(reader);
    if (signerInfos.length > limits.cms.signerInfos) throw malformed('too many signerInfos');
    const data: Omit<SignedData, 'content'> = {
      contentType,
      certificates: certificates === null ? [] : sequencesIn(certificates, 'certificates'),
      crls: crls === null ? [] : sequencesIn(crls, 'crls'),
      signerInfos: signerInfos.map(readSignerInfo),
    };
    return { detached, data };
  },
};

/**
 * The certificates of a message that can be read; one that cannot does not make the others useless. In their order,
 * each once.
 */
export function certificatesOf(signedData: Pick<SignedData, 'certificates'>): Certificate[] {
  const found = new Map<string, Certificate>();
  for (const octets of signedData.certificates) {
    try {
      const certificate = parseCertificate(octets);
      if (!found.has(certificate.fingerprint)) found.set(certificate.fingerprint, certificate);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
    }
  }
  return [...found.values()];
}

/**
 * All certificates that a SignerInfo may mean. There may be several: anybody can put a certificate with a foreign
 * issuer name and serial number into a message. The right one is that with which the signature is good.
 */
export function signerCandidates(
  signerInfo: SignerInfo,
  certificates: readonly Certificate[],
): Certificate[] {
  return certificates.filter((certificate) => identifies(signerInfo.identifier, certificate));
}

/** CertificateSet and RevocationInfoChoices: the plain SEQUENCEs are those of RFC 5280, the rest is tagged. */
function sequencesIn(element: Element, what: string): Buffer[] {
  const choices = children(element, 'BER');
  if (choices.length > limits.cms.certificates) throw malformed(`too many ${what}`);
  const found: Buffer[] = [];
  for (const choice of choices) {
    if (isUniversal(choice, universal.sequence)) found.push(choice.raw);
    else if (choice.tagClass !== 'context') throw malformed(`an unexpected element in ${what}`);
  }
  return found;
}

/**
 * `SignerInfo ::= SEQUENCE { version, sid, digestAlgorithm, signedAttrs [0] OPTIONAL, signatureAlgorithm, signature,
 * unsignedAttrs [1] OPTIONAL }` (RFC 5652 §5.3). The version is not believed: the form of sid says the same.
 */
function readSignerInfo(element: Element): SignerInfo {
  const reader = sequenceOf(element, 'BER', 'SignerInfo');
  smallInteger(reader.next('version'));
  const identifier = readCertificateIdentifier(reader.next('sid'));
  const digestAlgorithm = readAlgorithmIdentifier(reader.next('digestAlgorithm'));
  const signedAttrs = reader.optionalContext(0);
  const signatureAlgorithm = readAlgorithmIdentifier(reader.next('signatureAlgorithm'));
  const signature = octetString(reader.next('signature'), 'BER');
  // Countersignatures and timestamps; nothing here rests on them.
  reader.optionalContext(1);
  reader.end();
  return {
    identifier,
    digestAlgorithm,
    signedAttributes: signedAttrs === null ? null : readCoveredAttributes(signedAttrs),
    signatureAlgorithm,
    signature,
  };
}

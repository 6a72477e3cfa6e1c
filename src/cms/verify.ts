import { type KeyObject, timingSafeEqual } from 'node:crypto';
import { SealgateError } from '../errors.ts';
import type { Certificate } from '../pki/certificate.ts';
import { workingKeyOnPath } from '../pki/working-key.ts';
import { sameAlgorithm } from './algorithm-identifier.ts';
import { type Attribute, hasDuplicates, isSetOfAttributes } from './attributes.ts';
import { type ContentDigestName, digest, digestOctets } from './digests.ts';
import type { CertificateIdentifier } from './identifiers.ts';
import { isUnreadable, orNull } from './malformed.ts';
import { contentTypes } from './oids.ts';
import { type ResolvedSignature, resolveSignature, type VerifiableScheme } from './signatures.ts';
import {
  contentTypeOf,
  isNamedBy,
  messageDigestOf,
  readAlgorithmProtection,
  readCapabilities,
  readEncryptionKeyPreference,
  readSigningCertificate,
  readSigningTime,
} from './signed-attributes.ts';
import type { SignedData, SignerInfo } from './signed-data.ts';
import { verifyScheme } from './verify-scheme.ts';

/**
 * Verifies one signature of a SignedData over its octets (RFC 5652 §5.6). Says nothing about whom the certificate
 * belongs to.
 *
 * Holds: `good` means that every check below passed or was about an optional attribute that is absent.
 * Must never happen: the signed attributes of one message taken for the content of another, or the other way round.
 */

/** Each check of RFC 5652 §5.6 and of the attributes that counter-check a signature. */
export type SignatureCheck = {
  check:
    | 'algorithms'
    /** Their form: no type twice, one value each, those that must be there. */
    | 'signed-attributes'
    | 'content-type'
    | 'message-digest'
    /** RFC 6211 §2. */
    | 'algorithm-protection'
    /** RFC 5035 §5. */
    | 'signing-certificate'
    | 'signature-value';
  outcome: 'passed' | 'failed' | 'absent' | 'unsupported';
};

export type VerificationReport = {
  signature: 'good' | 'bad' | 'unsupported';
  /** Usual name, SHA-1 included: `rsa-pkcs1-sha256`; an identifier for what has no name here. */
  algorithm: string;
  /** signingTime: a claim of whoever made the message. */
  signedAt: Date | null;
  /** sMIMECapabilities as identifiers in order of preference; empty unless the signature is good. */
  capabilities: readonly string[];
  /** Which certificate the signer wants mail to be encrypted for; null unless the signature is good. */
  encryptionKeyPreference: CertificateIdentifier | null;
  checks: readonly SignatureCheck[];
};

/** Content as octets, or its digests alone (which serve only signatures with signed attributes). */
export type SignedContent = Uint8Array | { digests: ReadonlyMap<ContentDigestName, Uint8Array> };

/**
 * @param signedData the message, for its content type
 * @param content what was signed: `signedData.content`, or the other part of a multipart/signed
 * @param certificate of the signer, one of `signerCandidates`
 * @param issuers whose parameters a DSA key without any inherits (RFC 5280 §6.1.4 (d) to (f)), nearest first; only those
 *   of a validated path: under parameters of his own choice anybody can sign for any key
 * @returns a report for whatever the octets are; throws for nothing that a message can contain
 */
export function verifySignature(
  signedData: Pick<SignedData, 'contentType'>,
  signerInfo: SignerInfo,
  content: SignedContent,
  certificate: Certificate,
  issuers: readonly Certificate[] = [],
): VerificationReport {
  return verifyOver(signedData, signerInfo, content, certificate, issuers);
}

/**
 * Content that was read as a stream for a signature without signed attributes (see verify-stream.ts). `valid` null: the
 * signature cannot be verified over a stream.
 */
export type BareContent = { bare: { looksLikeAttributes: boolean; valid: boolean | null } };

/** `verifySignature`, for that content too. */
export function verifyOver(
  signedData: Pick<SignedData, 'contentType'>,
  signerInfo: SignerInfo,
  content: SignedContent | BareContent,
  certificate: Certificate,
  issuers: readonly Certificate[],
): VerificationReport {
  const checks: SignatureCheck[] = [];
  const attributes = signerInfo.signedAttributes?.list ?? [];
  const resolved = resolve(signerInfo);
  const report = (signature: VerificationReport['signature']): VerificationReport => ({
    signature,
    algorithm: resolved.name,
    signedAt: orNull(() => readSigningTime(attributes)),
    capabilities: signature === 'good' ? (orNull(() => readCapabilities(attributes)) ?? []) : [],
    encryptionKeyPreference:
      signature === 'good' ? orNull(() => readEncryptionKeyPreference(attributes)) : null,
    checks,
  });

  if (resolved.kind === 'contradictory') {
    checks.push({ check: 'algorithms', outcome: 'failed' });
    return report('bad');
  }
  const key = resolved.kind === 'supported' ? publicKeyOf(certificate, issuers) : null;
  if (resolved.kind === 'unsupported' || key === null) {
    checks.push({ check: 'algorithms', outcome: 'unsupported' });
    return report('unsupported');
  }
  checks.push({ check: 'algorithms', outcome: 'passed' });

  if (signerInfo.signedAttributes === null) {
    checks.push(checkBareContent(signedData.contentType, content));
    const valid = isBareSignature(resolved.scheme, content, key, signerInfo.signature);
    checks.push(
      valid === null
        ? { check: 'signature-value', outcome: 'unsupported' }
        : outcomeOf('signature-value', valid),
    );
    return report(summary(checks));
  }

  const { encodings } = signerInfo.signedAttributes;
  const contentDigest = digestOfContent(content, resolved.contentDigest);
  if (contentDigest === null) {
    checks.push({ check: 'message-digest', outcome: 'unsupported' });
    return report('unsupported');
  }
  checks.push(
    guarded('signed-attributes', () => checkForm(attributes)),
    guarded('content-type', () => passedIf(contentTypeOf(attributes) === signedData.contentType)),
    guarded('message-digest', () => passedIf(sameDigest(messageDigestOf(attributes), contentDigest))),
    guarded('algorithm-protection', () => checkAlgorithmProtection(attributes, signerInfo)),
    guarded('signing-certificate', () => checkSigningCertificate(attributes, certificate)),
    guarded('signature-value', () => {
      for (const octets of encodings()) {
        if (verifyScheme(resolved.scheme, octets, key, signerInfo.signature)) return 'passed';
      }
      return 'failed';
    }),
  );
  return report(summary(checks));
}

type Outcome = SignatureCheck['outcome'];

function summary(checks: readonly SignatureCheck[]): VerificationReport['signature'] {
  if (checks.some(({ outcome }) => outcome === 'failed')) return 'bad';
  return checks.some(({ outcome }) => outcome === 'unsupported') ? 'unsupported' : 'good';
}

/** What a SignerInfo and a certificate ask for; null: contradictory or not supported. */
export function schemeAndKey(
  signerInfo: SignerInfo,
  certificate: Certificate,
  issuers: readonly Certificate[],
): { scheme: VerifiableScheme; key: KeyObject } | null {
  const resolved = resolve(signerInfo);
  if (resolved.kind !== 'supported') return null;
  const key = publicKeyOf(certificate, issuers);
  return key === null ? null : { scheme: resolved.scheme, key };
}

/** null: a digest alone cannot be verified against a signature over the content. */
function isBareSignature(
  scheme: VerifiableScheme,
  content: SignedContent | BareContent,
  key: KeyObject,
  signature: Buffer,
): boolean | null {
  if (content instanceof Uint8Array) return verifyScheme(scheme, content, key, signature);
  return 'bare' in content ? content.bare.valid : null;
}

function resolve(signerInfo: SignerInfo): ResolvedSignature {
  try {
    return resolveSignature(signerInfo.digestAlgorithm, signerInfo.signatureAlgorithm);
  } catch (error) {
    if (isUnreadable(error)) return { kind: 'contradictory', name: signerInfo.signatureAlgorithm.oid };
    throw error;
  }
}

function publicKeyOf(certificate: Certificate, issuers: readonly Certificate[]): KeyObject | null {
  try {
    return workingKeyOnPath(certificate, issuers)?.keyObject() ?? null;
  } catch (error) {
    if (error instanceof SealgateError) return null;
    throw error;
  }
}

/**
 * Without signed attributes only id-data may be signed (RFC 5652 §5.3), and nothing that is a set of attributes
 * itself: such a "content" is how a signature made over signed attributes is passed off as one over content.
 */
function checkBareContent(contentType: string, content: SignedContent | BareContent): SignatureCheck {
  if (contentType !== contentTypes.data) return { check: 'content-type', outcome: 'failed' };
  const outcome = isMadeOfAttributes(content) ? 'failed' : 'absent';
  return { check: 'signed-attributes', outcome };
}

function isMadeOfAttributes(content: SignedContent | BareContent): boolean {
  if (content instanceof Uint8Array) return isSetOfAttributes(content);
  return 'bare' in content && content.bare.looksLikeAttributes;
}

function digestOfContent(content: SignedContent | BareContent, name: ContentDigestName): Uint8Array | null {
  if (content instanceof Uint8Array) return digest(name, content);
  if (!('digests' in content)) return null;
  const known = content.digests.get(name);
  return known !== undefined && known.length === digestOctets(name) ? known : null;
}

function sameDigest(claimed: Buffer | null, computed: Uint8Array): boolean {
  return claimed !== null && claimed.length === computed.length && timingSafeEqual(claimed, computed);
}

/** RFC 5652 §11.3 and RFC 8551 §2.5: one instance of each. Optional ones must be readable when they are there. */
function checkForm(attributes: readonly Attribute[]): Outcome {
  readSigningTime(attributes);
  readCapabilities(attributes);
  readEncryptionKeyPreference(attributes);
  return passedIf(!hasDuplicates(attributes));
}

function checkAlgorithmProtection(attributes: readonly Attribute[], signerInfo: SignerInfo): Outcome {
  const protection = readAlgorithmProtection(attributes);
  if (protection === null) return 'absent';
  return passedIf(
    sameAlgorithm(protection.digestAlgorithm, signerInfo.digestAlgorithm) &&
      sameAlgorithm(protection.signatureAlgorithm, signerInfo.signatureAlgorithm),
  );
}

function checkSigningCertificate(attributes: readonly Attribute[], certificate: Certificate): Outcome {
  const identifier = readSigningCertificate(attributes);
  if (identifier === null) return 'absent';
  if (identifier.digest === null) return 'unsupported';
  return passedIf(isNamedBy(certificate, identifier));
}

function passedIf(condition: boolean): Outcome {
  return condition ? 'passed' : 'failed';
}

function outcomeOf(check: SignatureCheck['check'], condition: boolean): SignatureCheck {
  return { check, outcome: passedIf(condition) };
}

/** What cannot be read has failed. */
function guarded(check: SignatureCheck['check'], run: () => Outcome): SignatureCheck {
  return { check, outcome: orNull(run) ?? 'failed' };
}

import * as der from '../asn1/writer.ts';
import { SealgateError } from '../errors.ts';
import type { Certificate } from '../pki/certificate.ts';
import { attribute } from './attributes.ts';
import { type ContentDigestName, digestAlgorithm, digestOctets } from './digests.ts';
import { issuerAndSerial } from './identifiers.ts';
import type { SignatureScheme, SigningKey } from './keys.ts';
import { attributeTypes, contentTypes } from './oids.ts';
import { contentDigestFor, schemeName, signatureAlgorithm } from './signatures.ts';
import {
  algorithmProtectionAttribute,
  capabilitiesAttribute,
  encryptionKeyPreferenceAttribute,
  signingCertificateAttribute,
} from './signed-attributes.ts';

/** All octets of a signer that stay the same from mail to mail, encoded once per key and kept. */

/** What the constant octets of a signer depend on. */
export type TemplateRequest = {
  signer: SigningKey;
  /** One of `signer.schemes`; the first one when absent. */
  scheme?: SignatureScheme;
  /** For sMIMECapabilities, most preferred first; see capabilities.ts. Empty: no such attribute. */
  capabilities: readonly string[];
  /** Certificate that replies should be encrypted for, when it is not the signer's own. It is sent along. */
  encryptionCertificate?: Certificate;
};

/** The scheme that a request will be signed with. */
export function signingScheme(request: Pick<TemplateRequest, 'signer' | 'scheme'>): SignatureScheme {
  const scheme = request.scheme ?? request.signer.schemes[0];
  if (scheme === undefined) throw noScheme(`key ${request.signer.label} offers no scheme`);
  return scheme;
}

/** Constant octets of one key, scheme, set of capabilities and encryption certificate. */
export type SignerTemplate = {
  scheme: SignatureScheme;
  contentDigest: ContentDigestName;
  /** SET OF signed attributes, DER, with holes. */
  attributes: Buffer;
  digestAt: number;
  timeAt: number;
  timeOctets: number;
  digestIdentifier: Buffer;
  /** SignedData of this signer alone: version and digestAlgorithms, and `[0] CertificateSet`. */
  head: Buffer;
  certificates: Buffer;
  /** What is in that set. */
  certificateList: readonly Certificate[];
  /** SignerInfo: version, sid and digestAlgorithm. */
  signerHead: Buffer;
  signatureAlgorithm: Buffer;
  /** Of the last signature without content; null: none was made yet. */
  detached: DetachedForm | null;
};

/** A whole message without content, of one signer whose signatures have so many octets: with holes. */
export type DetachedForm = {
  octets: Buffer;
  signatureOctets: number;
  attributesAt: number;
  signatureAt: number;
};

/** Few per certificate: more means that somebody varies capabilities by mail, and then keeping them is no use. */
const TEMPLATES_PER_CERTIFICATE = 16;

type Templates = {
  by: Map<string, SignerTemplate>;
  /** What was asked for last, which mostly is what is asked for next. */
  last: LastAsked | null;
};

type LastAsked = Omit<Constants, 'scheme'> & { scheme: SignatureScheme; template: SignerTemplate };

/** Without the signer, who holds on to more. */
type Constants = Omit<TemplateRequest, 'signer'> & Pick<TemplateRequest['signer'], 'chain'>;

/** By certificate and not by key: wrappers of one key come and go with each mail. */
const templates = new WeakMap<Certificate, Templates>();

/** @param time encoded; its length is part of the template: UTCTime or GeneralizedTime (RFC 5652 §11.3) */
export function templateFor(request: TemplateRequest, time: Buffer): SignerTemplate {
  const scheme = signingScheme(request);
  let known = templates.get(request.signer.certificate);
  if (known === undefined || known.by.size >= TEMPLATES_PER_CERTIFICATE) {
    known = { by: new Map(), last: null };
    templates.set(request.signer.certificate, known);
  }
  const { last } = known;
  if (last !== null && isSame(last, request, scheme) && last.template.timeOctets === time.length) {
    return last.template;
  }
  const key = keyOf(request, scheme, time);
  let template = known.by.get(key);
  if (template === undefined) {
    template = makeTemplate(request, scheme, time);
    known.by.set(key, template);
  }
  const { encryptionCertificate, capabilities, signer } = request;
  known.last = {
    ...{ chain: signer.chain, capabilities, scheme, template },
    ...(encryptionCertificate === undefined ? {} : { encryptionCertificate }),
  };
  return template;
}

/** The very same objects, none of which changes. */
function isSame(last: LastAsked, request: TemplateRequest, scheme: SignatureScheme): boolean {
  return (
    last.scheme === scheme &&
    last.chain === request.signer.chain &&
    last.capabilities === request.capabilities &&
    last.encryptionCertificate === request.encryptionCertificate
  );
}

function keyOf(request: TemplateRequest, scheme: SignatureScheme, time: Buffer): string {
  const salt = scheme.kind === 'rsa-pss' ? scheme.saltOctets : '';
  const encryption = request.encryptionCertificate?.fingerprint ?? '';
  const chain = request.signer.chain.map(({ fingerprint }) => fingerprint).join(' ');
  return `${schemeName(scheme)} ${salt} ${time.length} ${encryption} ${chain} ${request.capabilities.join(' ')}`;
}

function makeTemplate(request: TemplateRequest, scheme: SignatureScheme, time: Buffer): SignerTemplate {
  const { signer, capabilities, encryptionCertificate } = request;
  const contentDigest = contentDigestFor(scheme);
  const digestIdentifier = digestAlgorithm(contentDigest);
  const signatureIdentifier = signatureAlgorithm(scheme);
  const timeHole = attribute(attributeTypes.signingTime, time);
  const digestHole = attribute(
    attributeTypes.messageDigest,
    der.octetString(Buffer.alloc(digestOctets(contentDigest))),
  );
  const parts = [
    attribute(attributeTypes.contentType, der.oid(contentTypes.data)),
    timeHole,
    digestHole,
    signingCertificateAttribute(signer.certificate),
    algorithmProtectionAttribute(digestIdentifier, signatureIdentifier),
    encryptionKeyPreferenceAttribute(encryptionCertificate ?? signer.certificate),
  ];
  if (capabilities.length > 0) parts.push(capabilitiesAttribute(capabilities));
  // What fills a hole stands behind the attribute's type and length, so it never changes the DER order.
  const attributes = der.setOf(parts);
  const certificateList = [
    signer.certificate,
    ...signer.chain,
    ...(encryptionCertificate === undefined ? [] : [encryptionCertificate]),
  ];
  return {
    scheme,
    contentDigest,
    attributes,
    digestAt: endOf(attributes, digestHole) - digestOctets(contentDigest),
    timeAt: endOf(attributes, timeHole) - time.length,
    timeOctets: time.length,
    digestIdentifier,
    head: signedDataHead([digestIdentifier]),
    certificates: certificateSet(certificateList),
    certificateList,
    signerHead: Buffer.concat([der.integer(1), issuerAndSerial(signer.certificate), digestIdentifier]),
    signatureAlgorithm: signatureIdentifier,
    detached: null,
  };
}

function endOf(attributes: Buffer, part: Buffer): number {
  return attributes.indexOf(part) + part.length;
}

/** Version and digestAlgorithms of a SignedData, each algorithm once. */
export function signedDataHead(digestIdentifiers: readonly Buffer[]): Buffer {
  const once = new Map(digestIdentifiers.map((encoded) => [encoded.toString('latin1'), encoded]));
  return Buffer.concat([der.integer(1), der.setOf([...once.values()])]);
}

/** `[0] IMPLICIT CertificateSet`, each certificate once. */
export function certificateSet(certificates: readonly Certificate[]): Buffer {
  const once = new Map(certificates.map((certificate) => [certificate.fingerprint, certificate.der]));
  return der.implicit(0, der.setOf([...once.values()]));
}

export function noScheme(reason: string): SealgateError {
  return new SealgateError({
    code: 'cms.no-scheme',
    publicText:
      'The signing key cannot make the signature that is asked for; choose another key or another algorithm.',
    duration: 'permanent',
    reason,
  });
}

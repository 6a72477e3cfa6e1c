import * as der from '../asn1/writer.ts';
import { SealgateError } from '../errors.ts';
import type { Certificate } from '../pki/certificate.ts';
import { attribute } from './attributes.ts';
import { contentInfo, contentInfoAround } from './content-info.ts';
import { type ContentDigestName, digest, digestAlgorithm, digestOctets } from './digests.ts';
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

/**
 * Writes SignedData (RFC 5652 §5) with one signer.
 *
 * All that stays the same from mail to mail is encoded once per key and kept; a mail costs a digest, the copy of some
 * hundred octets and the signature.
 *
 * Must never happen: a signature without signed attributes (see verify.ts for what could be made of it).
 */

export type SignRequest = {
  signer: SigningKey;
  /** One of `signer.schemes`; the first one when absent. */
  scheme?: SignatureScheme;
  /** Whole seconds are kept. */
  signingTime: Date;
  /** For sMIMECapabilities, most preferred first; see capabilities.ts. Empty: no such attribute. */
  capabilities: readonly string[];
  /** Certificate that replies should be encrypted for, when it is not the signer's own. It is sent along. */
  encryptionCertificate?: Certificate;
};

export type DetachedContent = Uint8Array | { digest: ReadonlyMap<ContentDigestName, Uint8Array> };

/**
 * A signature without the content, for multipart/signed.
 *
 * @param request content as octets, or its digest by the name `contentDigestFor(signingScheme(request))`
 * @returns DER ContentInfo
 * @throws SealgateError of the key; `cms.no-scheme` when the key offers nothing or the digest is missing
 */
export async function signDetached(request: SignRequest & { content: DetachedContent }): Promise<Buffer> {
  const { template, signed } = await signContent(request, request.content);
  return assemble(template, signed, null);
}

/**
 * A signature with the content inside, for application/pkcs7-mime; smime-type=signed-data.
 *
 * @returns DER ContentInfo
 * @throws as `signDetached`
 */
export async function signOpaque(request: SignRequest & { content: Uint8Array }): Promise<Buffer> {
  const { template, signed } = await signContent(request, request.content);
  return assemble(template, signed, request.content);
}

async function signContent(
  request: SignRequest,
  content: DetachedContent,
): Promise<{ template: Template; signed: SignedAttributes }> {
  const time = der.time(request.signingTime);
  const template = templateFor(request, time);
  const contentDigest =
    content instanceof Uint8Array
      ? digest(template.contentDigest, content)
      : content.digest.get(template.contentDigest);
  if (contentDigest?.length !== digestOctets(template.contentDigest)) {
    throw noScheme('the content digest is missing');
  }
  return { template, signed: await signAttributes(request.signer, template, time, contentDigest) };
}

/**
 * What stands around content that is signed by its digest and put inside while it is sent.
 *
 * @param content its length, and its digest by the name `contentDigestFor(signingScheme(request))`
 * @throws as `signDetached`
 */
export async function signFrame(
  request: SignRequest & { content: { octets: number; digest: ReadonlyMap<ContentDigestName, Uint8Array> } },
): Promise<SignedFrame> {
  const { content } = request;
  const { template, signed } = await signContent(request, content);
  return frame(template, signed, content.octets);
}

/** The scheme that a request will be signed with. */
export function signingScheme(request: Pick<SignRequest, 'signer' | 'scheme'>): SignatureScheme {
  const scheme = request.scheme ?? request.signer.schemes[0];
  if (scheme === undefined) throw noScheme(`key ${request.signer.label} offers no scheme`);
  return scheme;
}

/**
 * Certificates only, no signature (RFC 8551 §3.8): how a certificate is handed to somebody.
 *
 * @returns DER ContentInfo
 */
export function certificatesOnly(certificates: readonly Certificate[]): Buffer {
  const body = der.sequence(
    der.integer(1),
    der.setOf([]),
    der.sequence(der.oid(contentTypes.data)),
    certificateSet(certificates),
    der.setOf([]),
  );
  return contentInfo(contentTypes.signedData, body);
}

/** Constant octets of one key, scheme, set of capabilities and encryption certificate. */
type Template = {
  scheme: SignatureScheme;
  contentDigest: ContentDigestName;
  /** SET OF signed attributes, DER, with holes. */
  attributes: Buffer;
  digestAt: number;
  timeAt: number;
  timeOctets: number;
  /** SignedData: version and digestAlgorithms. */
  head: Buffer;
  certificates: Buffer;
  /** SignerInfo: version, sid and digestAlgorithm. */
  signerHead: Buffer;
  signatureAlgorithm: Buffer;
};

/** Few per certificate: more means that somebody varies capabilities by mail, and then keeping them is no use. */
const TEMPLATES_PER_CERTIFICATE = 16;

/** By certificate and not by key: wrappers of one key come and go with each mail. */
const templates = new WeakMap<Certificate, Map<string, Template>>();

/** @param time encoded; its length is part of the template: UTCTime or GeneralizedTime (RFC 5652 §11.3) */
function templateFor(request: SignRequest, time: Buffer): Template {
  const scheme = signingScheme(request);
  const salt = scheme.kind === 'rsa-pss' ? scheme.saltOctets : '';
  const encryption = request.encryptionCertificate?.fingerprint ?? '';
  const chain = request.signer.chain.map(({ fingerprint }) => fingerprint).join(' ');
  const key = `${schemeName(scheme)} ${salt} ${time.length} ${encryption} ${chain} ${request.capabilities.join(' ')}`;
  let known = templates.get(request.signer.certificate);
  if (known === undefined || known.size >= TEMPLATES_PER_CERTIFICATE) {
    known = new Map();
    templates.set(request.signer.certificate, known);
  }
  let template = known.get(key);
  if (template === undefined) {
    template = makeTemplate(request, scheme, time);
    known.set(key, template);
  }
  return template;
}

function makeTemplate(request: SignRequest, scheme: SignatureScheme, time: Buffer): Template {
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
  return {
    scheme,
    contentDigest,
    attributes,
    digestAt: endOf(attributes, digestHole) - digestOctets(contentDigest),
    timeAt: endOf(attributes, timeHole) - time.length,
    timeOctets: time.length,
    head: Buffer.concat([der.integer(1), der.setOf([digestIdentifier])]),
    certificates: certificateSet([
      signer.certificate,
      ...signer.chain,
      ...(encryptionCertificate === undefined ? [] : [encryptionCertificate]),
    ]),
    signerHead: Buffer.concat([der.integer(1), issuerAndSerial(signer.certificate), digestIdentifier]),
    signatureAlgorithm: signatureIdentifier,
  };
}

function endOf(attributes: Buffer, part: Buffer): number {
  return attributes.indexOf(part) + part.length;
}

/** `[0] IMPLICIT CertificateSet`, each certificate once. */
function certificateSet(certificates: readonly Certificate[]): Buffer {
  const once = new Map(certificates.map((certificate) => [certificate.fingerprint, certificate.der]));
  return der.implicit(0, der.setOf([...once.values()]));
}

type SignedAttributes = { attributes: Buffer; signature: Buffer };

async function signAttributes(
  signer: SigningKey,
  template: Template,
  time: Uint8Array,
  contentDigest: Uint8Array,
): Promise<SignedAttributes> {
  const attributes = Buffer.from(template.attributes);
  attributes.set(contentDigest, template.digestAt);
  attributes.set(time, template.timeAt);
  const signature = await signer.sign(template.scheme, attributes);
  return { attributes, signature };
}

/** Joins all parts in one copy. */
function assemble(template: Template, signed: SignedAttributes, content: Uint8Array | null): Buffer {
  const { head, tail } = frame(template, signed, content === null ? null : content.length);
  return Buffer.concat(content === null ? [head, tail] : [head, content, tail]);
}

/** What stands around the content: `head`, the content and `tail` are the whole message. */
export type SignedFrame = { head: Buffer; tail: Buffer };

/** @param octets of the content; null: detached */
function frame(template: Template, signed: SignedAttributes, octets: number | null): SignedFrame {
  const { sequence, setOf, octetString, constructed0 } = der.identifiers;
  // signedAttrs [0] IMPLICIT: the same octets under another tag.
  signed.attributes[0] = constructed0;
  const signerInfo = der.pieces(sequence, [
    template.signerHead,
    signed.attributes,
    template.signatureAlgorithm,
    der.octetString(signed.signature),
  ]);
  const tail = Buffer.concat([template.certificates, ...der.pieces(setOf, signerInfo)]);
  const string = octets === null ? NOTHING : der.around(octetString, octets);
  const eContent = octets === null ? NOTHING : der.around(constructed0, string.octets);
  const encapsulated = der.around(sequence, eContent.octets, der.oid(contentTypes.data));
  const body = der.around(sequence, encapsulated.octets + tail.length, template.head);
  const info = contentInfoAround(contentTypes.signedData, body.octets);
  return {
    head: Buffer.concat([info.head, body.head, encapsulated.head, eContent.head, string.head]),
    tail,
  };
}

const NOTHING: der.Around = { head: Buffer.alloc(0), octets: 0 };

function noScheme(reason: string): SealgateError {
  return new SealgateError({
    code: 'cms.no-scheme',
    publicText:
      'The signing key cannot make the signature that is asked for; choose another key or another algorithm.',
    duration: 'permanent',
    reason,
  });
}

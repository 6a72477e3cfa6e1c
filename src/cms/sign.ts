import * as der from '../asn1/writer.ts';
import type { Certificate } from '../pki/certificate.ts';
import { contentInfo, contentInfoLevels } from './content-info.ts';
import { type ContentDigestName, digest, digestOctets, type WrittenDigestName } from './digests.ts';
import { contentTypes } from './oids.ts';
import { contentDigestFor } from './signatures.ts';
import {
  certificateSet,
  type DetachedForm,
  noScheme,
  type SignerTemplate,
  signedDataHead,
  signingScheme,
  type TemplateRequest,
  templateFor,
} from './signer-template.ts';

export { signingScheme };

/**
 * Writes SignedData (RFC 5652 §5).
 *
 * A mail costs a digest, the copy of some hundred octets and the signatures.
 *
 * Must never happen: a signature without signed attributes (see verify.ts for what could be made of it).
 */

export type SignRequest = TemplateRequest & {
  /** Whole seconds are kept. */
  signingTime: Date;
  /**
   * Further signers of the same content at the same time, each with a SignerInfo of its own: a new kind of key beside one that
   * every program knows.
   */
  coSigners?: readonly CoSigner[];
};

export type CoSigner = Pick<TemplateRequest, 'signer' | 'scheme' | 'encryptionCertificate'>;

export type DetachedContent = Uint8Array | { digest: ReadonlyMap<ContentDigestName, Uint8Array> };

/**
 * A signature without the content, for multipart/signed.
 *
 * @param request content as octets, or its digests by the names `signingDigests(request)`
 * @returns DER ContentInfo
 * @throws SealgateError of the key; `cms.no-scheme` when the key offers nothing or the digest is missing
 */
export async function signDetached(request: SignRequest & { content: DetachedContent }): Promise<Buffer> {
  return assemble(await signContent(request, request.content), null);
}

/**
 * A signature with the content inside, for application/pkcs7-mime; smime-type=signed-data.
 *
 * @returns DER ContentInfo
 * @throws as `signDetached`
 */
export async function signOpaque(request: SignRequest & { content: Uint8Array }): Promise<Buffer> {
  return assemble(await signContent(request, request.content), request.content);
}

/**
 * What stands around content that is signed by its digests and put inside while it is sent.
 *
 * @param content its length, and its digests by the names `signingDigests(request)`
 * @throws as `signDetached`
 */
export async function signFrame(
  request: SignRequest & { content: { octets: number; digest: ReadonlyMap<ContentDigestName, Uint8Array> } },
): Promise<SignedFrame> {
  const { content } = request;
  return frame(await signContent(request, content), content.octets);
}

/** The digests of the content that the signers of a request sign, each once, the first signer's first. */
export function signingDigests(
  request: Pick<SignRequest, 'signer' | 'scheme' | 'coSigners'>,
): WrittenDigestName[] {
  const all = [request, ...(request.coSigners ?? [])];
  return [...new Set(all.map((one) => contentDigestFor(signingScheme(one))))];
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

/** What one signer adds to the message. */
type Signed = { template: SignerTemplate; attributes: Buffer; signature: Buffer };

async function signContent(request: SignRequest, content: DetachedContent): Promise<readonly Signed[]> {
  const time = encodedTime(request.signingTime);
  const { coSigners = [], capabilities } = request;
  const first = await signAttributes(request, time, content);
  if (coSigners.length === 0) return [first];
  const others = coSigners.map((one) => signAttributes({ ...one, capabilities }, time, content));
  return [first, ...(await Promise.all(others))];
}

let lastTime: { second: number; encoded: Buffer } = { second: Number.NaN, encoded: Buffer.alloc(0) };

/** Shared by all signatures of a second: not to be written to. */
function encodedTime(time: Date): Buffer {
  const second = Math.floor(time.getTime() / 1000);
  if (lastTime.second !== second) lastTime = { second, encoded: der.time(time) };
  return lastTime.encoded;
}

async function signAttributes(
  request: TemplateRequest,
  time: Buffer,
  content: DetachedContent,
): Promise<Signed> {
  const template = templateFor(request, time);
  const contentDigest =
    content instanceof Uint8Array
      ? digest(template.contentDigest, content)
      : content.digest.get(template.contentDigest);
  if (contentDigest?.length !== digestOctets(template.contentDigest)) {
    throw noScheme('the content digest is missing');
  }
  const attributes = Buffer.from(template.attributes);
  attributes.set(contentDigest, template.digestAt);
  attributes.set(time, template.timeAt);
  const signature = await request.signer.sign(template.scheme, attributes);
  return { template, attributes, signature };
}

/** Joins all parts in one copy. */
function assemble(signed: readonly Signed[], content: Uint8Array | null): Buffer {
  const [only, second] = signed;
  if (content === null && only !== undefined && second === undefined) return detached(only);
  const { head, tail } = frame(signed, content === null ? null : content.length);
  return Buffer.concat(content === null ? [head, ...tail] : [head, content, ...tail]);
}

/** The signature of one signer: its constant octets, with what is new of it put in. */
function detached(signed: Signed): Buffer {
  const { template, attributes, signature } = signed;
  let form = template.detached;
  if (form === null || form.signatureOctets !== signature.length) {
    form = detachedForm(signed);
    template.detached = form;
  }
  const octets = Buffer.from(form.octets);
  octets.set(attributes, form.attributesAt);
  // signedAttrs [0] IMPLICIT: the same octets under another tag.
  octets[form.attributesAt] = der.identifiers.constructed0;
  octets.set(signature, form.signatureAt);
  return octets;
}

function detachedForm(signed: Signed): DetachedForm {
  const { template, attributes, signature } = signed;
  const { head, tail } = frame([signed], null);
  const octets = Buffer.concat([head, ...tail]);
  const signatureAt = octets.length - signature.length;
  // The signature is the last of its SignerInfo, behind signatureAlgorithm and a header.
  const signatureHead = der.octetString(signature).length - signature.length;
  const attributesAt = signatureAt - signatureHead - template.signatureAlgorithm.length - attributes.length;
  return { octets, signatureOctets: signature.length, attributesAt, signatureAt };
}

/** What stands around the content: `head`, the content and `tail` are the whole message. */
export type SignedFrame = { head: Buffer; tail: readonly Buffer[] };

/** @param octets of the content; null: detached */
function frame(signed: readonly Signed[], octets: number | null): SignedFrame {
  const { sequence, octetString, constructed0 } = der.identifiers;
  const { head, certificates } = shared(signed.map(({ template }) => template));
  const signerInfos = der.setOf(signed.map(signerInfo));
  const eContent = octets === null ? [] : [{ identifier: octetString }, { identifier: constructed0 }];
  const levels = [
    ...eContent,
    { identifier: sequence, before: [der.oid(contentTypes.data)] },
    { identifier: sequence, before: [head], after: certificates.length + signerInfos.length },
    ...contentInfoLevels(contentTypes.signedData),
  ];
  return { head: der.headAround(octets ?? 0, levels), tail: [certificates, signerInfos] };
}

/** What the signers of one message have in common; a single one has it ready. */
function shared(templates: readonly SignerTemplate[]): { head: Buffer; certificates: Buffer } {
  const [only, second] = templates;
  if (only !== undefined && second === undefined) return only;
  const certificates: Certificate[] = templates.flatMap(({ certificateList }) => certificateList);
  return {
    head: signedDataHead(templates.map(({ digestIdentifier }) => digestIdentifier)),
    certificates: certificateSet(certificates),
  };
}

function signerInfo({ template, attributes, signature }: Signed): Buffer {
  // signedAttrs [0] IMPLICIT: the same octets under another tag.
  attributes[0] = der.identifiers.constructed0;
  const { signerHead, signatureAlgorithm } = template;
  return der.sequence(signerHead, attributes, signatureAlgorithm, der.octetString(signature));
}

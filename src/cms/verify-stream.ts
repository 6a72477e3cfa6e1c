import { MOST_HEADER_OCTETS, readHeader } from '../asn1/reader.ts';
import { limits } from '../limits.ts';
import type { SizedOctets } from '../octets/source.ts';
import type { Certificate } from '../pki/certificate.ts';
import { isSetOfAttributes, SET_OF } from './attributes.ts';
import { contentDigest } from './digests.ts';
import { isUnreadable } from './malformed.ts';
import type { SignedData, SignerInfo } from './signed-data.ts';
import type { DigestedOctets } from './stream-digests.ts';
import { type BareContent, schemeAndKey, type VerificationReport, verifyOver } from './verify.ts';
import { verifySchemeOfStream } from './verify-scheme.ts';

/**
 * `verifySignature` over content of any size: by its digest, or by reading it again where the signature is over the
 * content itself. Such a signature is `unsupported` with EdDSA or ML-DSA, which need all octets at once, over more than
 * `limits.cms.bareContentOctets`, and when the content was read too often already (`limits.cms.bareReadOctets`).
 *
 * @throws what the content's source throws
 */
export async function verifySignatureOfStream(
  signedData: Pick<SignedData, 'contentType'>,
  signerInfo: SignerInfo,
  content: DigestedOctets,
  certificate: Certificate,
  issuers: readonly Certificate[] = [],
): Promise<VerificationReport> {
  const over = (what: Parameters<typeof verifyOver>[2]): VerificationReport =>
    verifyOver(signedData, signerInfo, what, certificate, issuers);
  if (signerInfo.signedAttributes === null) {
    return over(await bareContent(signerInfo, content, certificate, issuers));
  }
  const name = contentDigest(signerInfo.digestAlgorithm);
  return over({ digests: await content.withDigests(name === null ? [] : [name]) });
}

async function bareContent(
  signerInfo: SignerInfo,
  content: DigestedOctets,
  certificate: Certificate,
  issuers: readonly Certificate[],
): Promise<BareContent> {
  const how = schemeAndKey(signerInfo, certificate, issuers);
  const octets = how === null ? null : content.forSignature();
  const valid =
    how === null || octets === null
      ? null
      : await verifySchemeOfStream(how.scheme, octets, how.key, signerInfo.signature);
  return { bare: { looksLikeAttributes: await looksLikeAttributes(content.octets), valid } };
}

/** Content that is too large to be looked at as a whole counts as attributes when its first octets say so. */
async function looksLikeAttributes(octets: SizedOctets): Promise<boolean> {
  const gathered: Buffer[] = [];
  let known = 0;
  for await (const chunk of octets.read()) {
    if (known === 0 && chunk[0] !== SET_OF) return false;
    gathered.push(chunk);
    known += chunk.length;
    if (octets.length > limits.cms.bareContentOctets && known >= MOST_HEADER_OCTETS) {
      return isSetOfThisLength(Buffer.concat(gathered), octets.length);
    }
  }
  return isSetOfAttributes(Buffer.concat(gathered));
}

function isSetOfThisLength(beginning: Buffer, octets: number): boolean {
  try {
    const { headerOctets, length } = readHeader(beginning, 'BER', 0, 0, octets);
    return length === null || headerOctets + length === octets;
  } catch (error) {
    if (isUnreadable(error)) return false;
    throw error;
  }
}

import type { Certificate } from '../pki/certificate.ts';
import type { SignedData, SignerInfo } from './signed-data.ts';
import type { DigestedOctets } from './stream-digests.ts';
import type { VerificationReport } from './verify.ts';

/**
 * `verifySignature` over content of any size: by its digest, or by reading it again where the signature is over the
 * content itself.
 */
export function verifySignatureOfStream(
  _signedData: Pick<SignedData, 'contentType'>,
  _signerInfo: SignerInfo,
  _content: DigestedOctets,
  _certificate: Certificate,
  _issuers: readonly Certificate[] = [],
): Promise<VerificationReport> {
  throw new Error('not there yet');
}

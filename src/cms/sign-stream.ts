import type { SizedOctets } from '../octets/source.ts';
import type { ContentDigestName } from './digests.ts';
import type { SignRequest } from './sign.ts';

export type SignOpaqueStreamRequest = SignRequest & {
  content: SizedOctets;
  /** Digests known already; the content is read once more where the one that is needed is absent. */
  digest?: ReadonlyMap<ContentDigestName, Uint8Array>;
};

/**
 * `signOpaque` for content of any size; the same octets as it makes.
 *
 * @returns DER ContentInfo, that can be read as often as the content
 * @throws SealgateError as `signOpaque`
 */
export function signOpaqueStream(_request: SignOpaqueStreamRequest): Promise<SizedOctets> {
  throw new Error('not there yet');
}

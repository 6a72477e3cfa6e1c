import type { OctetStream, SizedOctets } from '../octets/source.ts';
import { ofLength } from './announced-content.ts';
import type { ContentDigestName } from './digests.ts';
import { type SignRequest, signFrame, signingDigests } from './sign.ts';
import { DigestedOctets } from './stream-digests.ts';

export type SignOpaqueStreamRequest = SignRequest & {
  content: SizedOctets;
  /** Digests known already; the content is read once more where the one that is needed is absent. */
  digest?: ReadonlyMap<ContentDigestName, Buffer>;
};

/**
 * `signOpaque` for content of any size; the same octets as it makes.
 *
 * @returns DER ContentInfo, that can be read as often as the content
 * @throws SealgateError as `signOpaque`; while the result is read `cms.content-changed` for content of another length
 */
export async function signOpaqueStream(request: SignOpaqueStreamRequest): Promise<SizedOctets> {
  const { content, digest: known } = request;
  const digested = new DigestedOctets(content, known);
  const digest = await digested.withDigests(signingDigests(request));
  const octets = content.length;
  const frame = await signFrame({ ...request, content: { octets, digest } });
  const { head } = frame;
  const tail = Buffer.concat(frame.tail);
  return {
    length: head.length + octets + tail.length,
    async *read(): OctetStream {
      yield head;
      yield* ofLength(content.read(), octets);
      yield tail;
    },
  };
}

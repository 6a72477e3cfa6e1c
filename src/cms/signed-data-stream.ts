import type { RereadableOctets, Spool, SpooledOctets } from '../octets/source.ts';
import type { ContentDigestName } from './digests.ts';
import type { SignedData } from './signed-data.ts';

/** SignedData with its content in a spool; it is the caller's to discard. */
export type StreamedSignedData = Omit<SignedData, 'content'> & {
  /** null: detached. */
  content: SpooledOctets | null;
  /** Of the content, for every digest that a signerInfo names and that is known; empty when detached. */
  digests: ReadonlyMap<ContentDigestName, Buffer>;
};

/**
 * `readSignedData` for a message of any size.
 *
 * @throws SealgateError `cms.malformed`; the source's and the spool's own
 */
export function readSignedStream(_source: RereadableOctets, _spool: Spool): Promise<StreamedSignedData> {
  throw new Error('not there yet');
}

import type { Element } from '../asn1/element.ts';
import type { IncrementalReader } from '../asn1/incremental-reader.ts';
import { readThrough } from '../asn1/read-stream.ts';
import { children } from '../asn1/reader.ts';
import type { RereadableOctets, Spool, SpooledOctets, SpoolWriter } from '../octets/source.ts';
import { readAlgorithmIdentifier } from './algorithm-identifier.ts';
import { type ContentDigestName, contentDigest } from './digests.ts';
import { isUnreadable, readingStream } from './malformed.ts';
import { type SignedData, type SignerInfo, signedDataGrammar } from './signed-data.ts';
import { DigestedOctets, RunningDigests } from './stream-digests.ts';

/** SignedData with its content in a spool; it is the caller's to discard. */
export type StreamedSignedData = Omit<SignedData, 'content'> & {
  /** null: detached. */
  content: SpooledOctets | null;
  /** Of the content, for every digest that a signerInfo names and that is known; empty when detached. */
  digests: ReadonlyMap<ContentDigestName, Buffer>;
};

/**
 * `readSignedData` for a message of any size. The content is hashed as it comes by, with the digests that are announced
 * in front of it, and read again from the spool for those that are not.
 *
 * @throws SealgateError `cms.malformed`; the source's and the spool's own
 */
export async function readSignedStream(source: RereadableOctets, spool: Spool): Promise<StreamedSignedData> {
  const writer = spool.begin();
  try {
    return await readInto(writer, source);
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

async function readInto(writer: SpoolWriter, source: RereadableOctets): Promise<StreamedSignedData> {
  let digests = new RunningDigests([]);
  const grammar = {
    head(reader: IncrementalReader) {
      const head = signedDataGrammar.head(reader);
      digests = new RunningDigests(announcedDigests(head.digestAlgorithms));
      return head;
    },
    tail: signedDataGrammar.tail,
  };
  const { detached, data } = await readingStream('SignedData', () =>
    readThrough(source.read(), grammar, async (octets) => {
      digests.update(octets);
      await writer.write(octets);
    }),
  );
  if (detached) {
    await writer.discard();
    return { ...data, content: null, digests: new Map() };
  }
  const content = await writer.finish();
  try {
    const digested = new DigestedOctets(content, digests.finish());
    return { ...data, content, digests: await digested.withDigests(neededDigests(data.signerInfos)) };
  } catch (error) {
    await content.discard();
    throw error;
  }
}

/** What cannot be read announces nothing: nothing rests on it. */
function announcedDigests(digestAlgorithms: Element): Set<ContentDigestName> {
  try {
    const identifiers = children(digestAlgorithms, 'BER').map((element) => readAlgorithmIdentifier(element));
    return known(identifiers);
  } catch (error) {
    if (isUnreadable(error)) return new Set();
    throw error;
  }
}

function neededDigests(signerInfos: readonly SignerInfo[]): Set<ContentDigestName> {
  return known(signerInfos.map(({ digestAlgorithm }) => digestAlgorithm));
}

function known(identifiers: readonly Parameters<typeof contentDigest>[0][]): Set<ContentDigestName> {
  return new Set(identifiers.map(contentDigest).filter((name) => name !== null));
}

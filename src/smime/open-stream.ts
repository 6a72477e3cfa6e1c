import { decompressStream } from '../cms/compressed-data-stream.ts';
import { decryptStream } from '../cms/decrypt-stream.ts';
import { peekContentType } from '../cms/peek-stream.ts';
import { readSignedStream } from '../cms/signed-data-stream.ts';
import { DigestedOctets, digestStream } from '../cms/stream-digests.ts';
import { verifySignatureOfStream } from '../cms/verify-stream.ts';
import { readEntityFrom, readRootFrom } from '../mail/entity-source.ts';
import { decodedBody } from '../mail/transfer-encoding.ts';
import { sliceOf } from '../octets/buffer-source.ts';
import type { OctetSource, RereadableOctets, Spool } from '../octets/source.ts';
import { readClearSignedStream, signedForms } from './clear-signed-stream.ts';
import { HeldSpools } from './held-spools.ts';
import type { LayerOctets } from './layer-octets.ts';
import { type Opening, type OpeningContext, openLayers, type ReaderKeys } from './layers.ts';
import { isMailError } from './mail-error.ts';
import { openedHeaderOf, streamToShow } from './protected-header-stream.ts';
import { recognise } from './recognise.ts';
import type { VerifiableContent } from './verify.ts';

/**
 * `openMessage` for a message of any size: the same rules, the same report. What is inside a layer waits in a spool until all of
 * the layer was found good.
 */
export type StreamOpening = Opening<OctetSource> & {
  /** Frees the spools behind `entity`, which may be the message that was given. May be called again. */
  discard(): Promise<void>;
};

/**
 * @param message is read several times; has to last until the result is discarded
 * @param spool where the contents of layers wait
 * @throws as `openMessage`; the source's and the spool's own
 */
export async function openMessageStream(
  message: OctetSource,
  keys: ReaderKeys,
  context: OpeningContext,
  spool: Spool,
): Promise<StreamOpening> {
  const held = new HeldSpools(spool);
  try {
    const opening = await openLayers(message, message.length, keys, context, inSpools(held));
    if (opening.entity === message) await held.discard();
    return { ...opening, discard: () => held.discard() };
  } catch (error) {
    await held.discard();
    throw error;
  }
}

function inSpools(held: HeldSpools): LayerOctets<OctetSource, RereadableOctets> {
  return {
    root: rootOrNull,

    async clearSigned(message, root) {
      const read = await readClearSignedStream(message, root);
      if (read === null) return null;
      const signedData = await readSignedStream(read.signature, held);
      await signedData.content?.discard();
      const content = sliceOf(message, read.content.start, read.content.end);
      return {
        signedData,
        attached: signedData.content !== null,
        content,
        forms: async () => (await signedForms(content, signedData.signerInfos)).map(verifiable),
      };
    },

    cms: (message, { body, transferEncoding }) =>
      decodedBody(sliceOf(message, body.start, body.end), transferEncoding),
    contentType: peekContentType,
    decrypt: (cms, keys) => decryptStream(cms, keys, held),
    decompress: (cms, maxOctets) => decompressStream(cms, held, maxOctets),

    async opaqueSigned(cms) {
      const { content: octets, digests, ...signedData } = await readSignedStream(cms, held);
      if (octets === null) return { signedData, content: null };
      const signed = verifiable(new DigestedOctets(octets, digests));
      return { signedData, content: { octets, length: octets.length, verifiable: signed } };
    },

    // Reads on to the end.
    async requireDecodable(cms) {
      await digestStream(cms.read(), []);
    },

    header: ({ content, root, outer, replaces }, layers) =>
      openedHeaderOf(content, root, outer, layers, replaces),
    toShow: streamToShow,
    shows: (content) => held.keepOnly(content),
  };
}

function verifiable(content: DigestedOctets): VerifiableContent {
  return {
    verify: (signedData, signerInfo, certificate) =>
      verifySignatureOfStream(signedData, signerInfo, content, certificate),
  };
}

/**
 * The entity, with its parts only where they matter: those of multipart/signed. What has no layer is not read beyond its header, so
 * bounds that its parts would meet make no difference.
 */
async function rootOrNull(message: OctetSource) {
  try {
    const root = await readRootFrom(message);
    return recognise({ root }) === 'signed-clear' ? await readEntityFrom(message) : root;
  } catch (error) {
    if (isMailError(error)) return null;
    throw error;
  }
}

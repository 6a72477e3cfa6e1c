import { decompress } from '../cms/compressed-data.ts';
import { contentTypeOfInfo } from '../cms/content-info.ts';
import { decrypt } from '../cms/decrypt.ts';
import { readSignedData } from '../cms/signed-data.ts';
import { canonicalLines } from '../mail/canonical.ts';
import { readMessage } from '../mail/entity-tree.ts';
import { asBuffer } from '../mail/header.ts';
import { withoutLegacyDisplay } from '../mail/header-protection-display.ts';
import { decodeBody } from '../mail/transfer-encoding.ts';
import { readClearSigned } from './clear-signed.ts';
import type { LayerOctets } from './layer-octets.ts';
import { type Opening, type OpeningContext, openLayers, type ReaderKeys } from './layers.ts';
import { isMailError } from './mail-error.ts';
import { openHeader } from './protected-header.ts';

export type { OpeningContext, ReaderKeys };

export type MessageOpening = Opening<Buffer>;

/**
 * Opens a message that is in memory; the rules are those of layers.ts.
 *
 * @param keys empty for mail that is only to be verified
 * @throws SealgateError only for keys that are away for now (`key.unavailable`, temporary); everything a message can
 *   contain is an outcome
 */
export async function openMessage(
  octets: Uint8Array,
  keys: ReaderKeys,
  context: OpeningContext,
): Promise<MessageOpening> {
  const original = asBuffer(octets);
  return openLayers(original, original.length, keys, context, IN_MEMORY);
}

const IN_MEMORY: LayerOctets<Buffer, Buffer> = {
  root: async (octets) => orNullOfMail(() => readMessage(octets).root),

  async clearSigned(octets, root) {
    const read = readClearSigned({ octets, root });
    if (read === null) return null;
    const signedData = readSignedData(read.signature);
    const content = octets.subarray(read.content.start, read.content.end);
    return {
      signedData,
      attached: signedData.content !== null,
      content,
      async forms() {
        const canonical = canonicalLines(content);
        return canonical === content ? [content] : [content, canonical];
      },
    };
  },

  cms: decodeBody,
  contentType: async (cms) => contentTypeOfInfo(cms),
  decrypt: (cms, keys) => decrypt(cms, keys),
  decompress,

  async opaqueSigned(cms) {
    const { content: octets, ...signedData } = readSignedData(cms);
    const content = octets === null ? null : { octets, length: octets.length, verifiable: octets };
    return { signedData, content };
  },

  // All of it was decoded before anything was told of it.
  requireDecodable: async () => undefined,

  header: async ({ content: octets, root, outer, replaces }, layers) =>
    orNullOfMail(() => openHeader({ octets, root }, outer, layers, replaces)),

  // A clear signature inside stays whole, where nothing has to go from in it.
  async toShow({ kind, scheme, contentHeader, body }, payload, shown) {
    const whole = Buffer.concat([contentHeader, payload.subarray(body.start, body.end)]);
    const content = kind === 'cipher' ? withoutLegacyDisplay(whole) : whole;
    const repeats = scheme === 'wrapped' || content !== whole;
    return shown === payload || repeats ? content : shown;
  },

  shows: async () => undefined,
};

function orNullOfMail<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (isMailError(error)) return null;
    throw error;
  }
}

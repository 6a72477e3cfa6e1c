import { readThrough } from '../asn1/read-stream.ts';
import { limits } from '../limits.ts';
import { release } from '../octets/release.ts';
import type { RereadableOctets, Spool, SpooledOctets, SpoolWriter } from '../octets/source.ts';
import type { ContentDecipher } from './content-cipher.ts';
import { type Decryption, decryptWith, type OpenContent, type SharedSecrets } from './decryption.ts';
import { type EnvelopedStructure, envelopedDataGrammar } from './enveloped-data.ts';
import type { DecryptionKey } from './keys.ts';
import { readingStream } from './malformed.ts';
import { type CiphertextShape, MOST_TAG_OCTETS, type OpenableContent } from './openable-content.ts';

/** `decrypt`'s outcomes, with the content in a spool; it is the caller's to discard. */
export type StreamDecryptOutcome = Decryption<SpooledOctets>;

/**
 * `decrypt` for a message of any size. Nothing is given out before all of it was found good.
 *
 * @param source ContentInfo, BER or DER; read once for its structure and once for each key that may open it
 * @param maxOctets see `decryptWith`
 * @throws SealgateError as `decrypt`; the source's and the spool's own
 */
export async function decryptStream(
  source: RereadableOctets,
  keys: readonly DecryptionKey[],
  spool: Spool,
  secrets: SharedSecrets = {},
  maxOctets: number = limits.cms.decryptedOctets,
): Promise<StreamDecryptOutcome> {
  const { enveloped, shape } = await readEnvelopedStream(source);
  const openInto: OpenContent<SpooledOctets> = (openable, key) => open(source, openable, key, spool);
  return decryptWith(enveloped, shape, keys, secrets, openInto, maxOctets);
}

/**
 * Reads all of a ContentInfo with EnvelopedData or AuthEnvelopedData, without keeping the ciphertext.
 *
 * @throws SealgateError `cms.malformed`; the source's own
 */
export async function readEnvelopedStream(
  source: RereadableOctets,
): Promise<{ enveloped: EnvelopedStructure; shape: CiphertextShape }> {
  const shape = { octets: 0, end: Buffer.alloc(0) };
  const enveloped = await readingStream('EnvelopedData', () =>
    readThrough(source.read(), envelopedDataGrammar, (ciphertext) => {
      shape.octets += ciphertext.length;
      const end = [shape.end, ciphertext.subarray(-MOST_TAG_OCTETS)];
      shape.end = Buffer.concat(end).subarray(-MOST_TAG_OCTETS);
    }),
  );
  return { enveloped, shape };
}

async function open(
  source: RereadableOctets,
  openable: OpenableContent,
  key: Uint8Array,
  spool: Spool,
): Promise<SpooledOctets | null> {
  for (const begin of openable.ways) {
    const content = await decryptInto(spool.begin(), source, openable, begin(key));
    if (content !== null) return content;
  }
  return null;
}

/** The whole content; null: wrong key or damaged, and nothing is left of it. */
async function decryptInto(
  writer: SpoolWriter,
  source: RereadableOctets,
  { ciphertextOctets }: OpenableContent,
  decipher: ContentDecipher,
): Promise<SpooledOctets | null> {
  try {
    let left = ciphertextOctets;
    await readThrough(source.read(), envelopedDataGrammar, async (ciphertext) => {
      const body = ciphertext.subarray(0, left);
      left -= body.length;
      if (body.length === 0) return;
      const content = decipher.update(body);
      await writer.write(content);
      release(content);
    });
    // A source that is shorter the second time gives nothing.
    const rest = left === 0 ? decipher.finish() : null;
    if (rest !== null) {
      await writer.write(rest);
      return await writer.finish();
    }
  } catch (error) {
    await writer.discard();
    throw error;
  }
  await writer.discard();
  return null;
}

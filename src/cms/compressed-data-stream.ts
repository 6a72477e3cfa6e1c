import { pipeline } from 'node:stream/promises';
import { createInflate } from 'node:zlib';
import { readStream, readThrough } from '../asn1/read-stream.ts';
import type { OctetStream, RereadableOctets, Spool, SpooledOctets, SpoolWriter } from '../octets/source.ts';
import { compressedDataGrammar, zlib } from './compressed-data.ts';
import { readingStream } from './malformed.ts';

export type StreamDecompressOutcome =
  | { outcome: 'opened'; contentType: string; content: SpooledOctets }
  | { outcome: 'failed' };

/**
 * `decompress` into a spool. The message is read twice: damage to its structure is told before anything is unpacked.
 *
 * @param maxOctets of the content, 1 or more
 * @throws SealgateError `cms.malformed`; the source's and the spool's own
 */
export async function decompressStream(
  source: RereadableOctets,
  spool: Spool,
  maxOctets: number,
): Promise<StreamDecompressOutcome> {
  const { algorithm, contentType } = await readingStream('CompressedData', () =>
    readThrough(source.read(), compressedDataGrammar, () => undefined),
  );
  if (algorithm !== zlib) return { outcome: 'failed' };
  const writer = spool.begin();
  try {
    if (await inflateInto(writer, source, maxOctets)) {
      return { outcome: 'opened', contentType, content: await writer.finish() };
    }
  } catch (error) {
    await writer.discard();
    throw error;
  }
  await writer.discard();
  return { outcome: 'failed' };
}

/** Whether it could be unpacked within the bound. */
async function inflateInto(
  writer: SpoolWriter,
  source: RereadableOctets,
  maxOctets: number,
): Promise<boolean> {
  let left = maxOctets;
  try {
    await pipeline(compressed(source), createInflate(), async (unpacked: OctetStream) => {
      for await (const chunk of unpacked) {
        left -= chunk.length;
        if (left < 0) throw new TooLarge();
        await writer.write(chunk);
      }
    });
    return true;
  } catch (error) {
    if (error instanceof TooLarge || isOfZlib(error)) return false;
    throw error;
  }
}

class TooLarge extends Error {}

/** zlib's only answer to damage. */
function isOfZlib(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^Z_/.test(String(error.code));
}

/** Copied, since the pipeline takes several before it is done with one. */
async function* compressed(source: RereadableOctets): OctetStream {
  for await (const piece of readStream(source.read(), compressedDataGrammar)) yield Buffer.from(piece);
}

import { pipeline } from 'node:stream/promises';
import { createInflate } from 'node:zlib';
import { readStream, readThrough } from '../asn1/read-stream.ts';
import type { OctetStream, RereadableOctets, Spool, SpooledOctets, SpoolWriter } from '../octets/source.ts';
import { compressedDataGrammar, type DecompressOutcome, zlib } from './compressed-data.ts';
import { readingStream } from './malformed.ts';

export type StreamDecompressOutcome = DecompressOutcome<SpooledOctets>;

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

/** Whether all of it could be unpacked within the bound. */
async function inflateInto(
  writer: SpoolWriter,
  source: RereadableOctets,
  maxOctets: number,
): Promise<boolean> {
  let left = maxOctets;
  let given = 0;
  /** Of the source or the spool. */
  const failures: unknown[] = [];
  const inflate = createInflate();
  /** Copied, since the pipeline takes several before it is done with one. */
  async function* compressed(): OctetStream {
    try {
      for await (const piece of readStream(source.read(), compressedDataGrammar)) {
        given += piece.length;
        yield Buffer.from(piece);
      }
    } catch (error) {
      failures.push(error);
      throw error;
    }
  }
  async function write(unpacked: OctetStream): Promise<void> {
    for await (const chunk of unpacked) {
      left -= chunk.length;
      if (left < 0) throw new TooLarge();
      try {
        await writer.write(chunk);
      } catch (error) {
        failures.push(error);
        throw error;
      }
    }
  }
  try {
    await pipeline(compressed(), inflate, write);
  } catch (error) {
    // With octets behind its data zlib ends in the middle of the pipeline, which has several names for that.
    if (failures.length > 0) throw failures[0];
    if (error instanceof TooLarge || isOfZlib(error) || isEndedEarly(error)) return false;
    throw error;
  }
  return inflate.bytesWritten === given;
}

class TooLarge extends Error {}

/** zlib's only answer to damage. */
function isOfZlib(error: unknown): boolean {
  return /^Z_/.test(codeOf(error));
}

function isEndedEarly(error: unknown): boolean {
  return ['ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'].includes(codeOf(error));
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

import { type FileHandle, open } from 'node:fs/promises';
import { CHUNK_OCTETS, type OctetSource, type OctetStream } from './source.ts';

/** Octets of a file, which nobody may change meanwhile. */
export interface FileSource extends OctetSource {
  close(): Promise<void>;
}

/**
 * Opens a file as a source. While a chunk is worked on, the next one is read.
 *
 * @throws what node:fs throws
 */
export async function openFileSource(path: string): Promise<FileSource> {
  const file = await open(path, 'r');
  try {
    const { size: length } = await file.stat();
    return {
      length,
      read: (start = 0, end = length) => readAhead(file, start, end),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function* readAhead(file: FileHandle, start: number, end: number): OctetStream {
  let next: Promise<Buffer> | null = start < end ? readChunk(file, start, end) : null;
  let at = start;
  try {
    while (next !== null) {
      const chunk: Buffer = await next;
      at += chunk.length;
      next = at < end ? readChunk(file, at, end) : null;
      yield chunk;
    }
  } finally {
    // Whoever stopped reading does not wait for what was read ahead, nor hear of it.
    next?.catch(() => undefined);
  }
}

async function readChunk(file: FileHandle, at: number, end: number): Promise<Buffer> {
  const octets = Buffer.allocUnsafe(Math.min(CHUNK_OCTETS, end - at));
  const { bytesRead } = await file.read(octets, 0, octets.length, at);
  if (bytesRead === 0) throw new Error('a file became shorter while it was read');
  return octets.subarray(0, bytesRead);
}

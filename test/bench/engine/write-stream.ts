import type { FileHandle } from 'node:fs/promises';
import type { OctetStream } from '../../../src/octets/source.ts';

/** A system call costs as much as working on some chunks. */
const WRITE_OCTETS = 512 * 1024;

/**
 * Writes a stream to a file from where it stands. While some chunks are written, the next ones are made.
 *
 * @returns octets written
 * @throws what the stream and node:fs throw; then part of it may be written
 */
export async function writeStream(file: FileHandle, octets: OctetStream): Promise<number> {
  let total = 0;
  let gathered: Buffer[] = [];
  let length = 0;
  let writing: Promise<void> = Promise.resolve();
  try {
    for await (const chunk of octets) {
      gathered.push(chunk);
      length += chunk.length;
      if (length < WRITE_OCTETS) continue;
      await writing;
      writing = writeAll(file, gathered);
      // A failure is heard where it is waited for.
      writing.catch(() => undefined);
      total += length;
      gathered = [];
      length = 0;
    }
    await writing;
    await writeAll(file, gathered);
    return total + length;
  } finally {
    // The stream's failure is told; one of the write before it would change nothing.
    await writing.catch(() => undefined);
  }
}

async function writeAll(file: FileHandle, chunks: Buffer[]): Promise<void> {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const { bytesWritten } = await file.writev(chunks);
  if (bytesWritten === length) return;
  // A short write: the rest goes piece by piece.
  let done = bytesWritten;
  for (const chunk of chunks) {
    const from = Math.min(chunk.length, done);
    done -= from;
    if (from < chunk.length) await file.writeFile(chunk.subarray(from));
  }
}

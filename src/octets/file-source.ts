import { type FileHandle, open } from 'node:fs/promises';
import type { Look, ScannableSource } from './scan.ts';
import { CHUNK_OCTETS, type OctetStream } from './source.ts';

/** Octets of a file, which nobody may change meanwhile. */
export interface FileSource extends ScannableSource {
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
      borrow: (start, end) => lend(file, start, end),
      scan: (look, start, end) => scanFile(file, look, start, end),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A system call costs as much as working on some chunks. */
const READ_OCTETS = 4 * CHUNK_OCTETS;
const SCAN_OCTETS = 8 * CHUNK_OCTETS;

async function* readAhead(file: FileHandle, start: number, end: number): OctetStream {
  let next = readPiece(file, start, end);
  for (let at = start; at < end; ) {
    const piece = await next;
    at += piece.length;
    next = readPiece(file, at, end);
    // A failure is heard where it is waited for, if anybody still reads then.
    next.catch(() => undefined);
    for (let from = 0; from < piece.length; from += CHUNK_OCTETS) {
      yield piece.subarray(from, from + CHUNK_OCTETS);
    }
  }
}

/** With two Buffers: one is filled while the other is lent. */
async function* lend(file: FileHandle, start: number, end: number): OctetStream {
  for await (const octets of alternately(file, Math.min(READ_OCTETS, end - start), start, end)) {
    for (let from = 0; from < octets.length; from += CHUNK_OCTETS) {
      yield octets.subarray(from, from + CHUNK_OCTETS);
    }
  }
}

async function scanFile(
  file: FileHandle,
  look: Look,
  start: number,
  end: number,
): Promise<'stop' | undefined> {
  for await (const octets of alternately(file, Math.min(SCAN_OCTETS, end - start), start, end)) {
    if (look(octets) === 'stop') return 'stop';
  }
  return undefined;
}

/** @param most octets at a time */
async function* alternately(file: FileHandle, most: number, start: number, end: number): OctetStream {
  let [front, back] = [Buffer.allocUnsafeSlow(most), Buffer.allocUnsafeSlow(most)];
  let filling = fill(file, front, start, end);
  try {
    for (let at = start; at < end; ) {
      const octets = await filling;
      at += octets.length;
      [front, back] = [back, front];
      filling = fill(file, front, at, end);
      // A failure is heard where it is waited for.
      filling.catch(() => undefined);
      yield octets;
    }
  } finally {
    // Before that the Buffer is not free.
    await filling.catch(() => undefined);
  }
}

async function fill(file: FileHandle, buffer: Buffer, at: number, end: number): Promise<Buffer> {
  if (at >= end) return buffer.subarray(0, 0);
  const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at);
  if (bytesRead === 0) throw new Error('a file became shorter while it was read');
  return buffer.subarray(0, bytesRead);
}

async function readPiece(file: FileHandle, at: number, end: number): Promise<Buffer> {
  return fill(file, Buffer.allocUnsafeSlow(Math.min(READ_OCTETS, end - at)), at, end);
}

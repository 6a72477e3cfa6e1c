import { borrowed, type ScannableSource, scan } from './scan.ts';
import { CHUNK_OCTETS, type OctetSource, type OctetStream } from './source.ts';

/** Octets that are all in memory. */
export interface BufferSource extends ScannableSource {
  readonly octets: Buffer;
}

/** Octets in memory as a source; chunks are views on them. */
export function bufferSource(octets: Buffer): BufferSource {
  async function* read(start = 0, end = octets.length): OctetStream {
    for (let at = start; at < end; at += CHUNK_OCTETS) {
      yield octets.subarray(at, Math.min(at + CHUNK_OCTETS, end));
    }
  }
  return {
    octets,
    length: octets.length,
    read,
    borrow: read,
    // In one piece.
    scan: async (look, start, end) => (start < end ? look(octets.subarray(start, end)) : undefined),
  };
}

/** The octets of a source that has all of them in memory as one Buffer; null: another one. */
export function octetsInMemory(source: OctetSource): Buffer | null {
  return 'octets' in source && Buffer.isBuffer(source.octets) ? source.octets : null;
}

/** A part of a source as a source of its own. */
export function sliceOf(source: OctetSource, start: number, end: number): ScannableSource {
  const octets = octetsInMemory(source);
  if (octets !== null) return bufferSource(octets.subarray(start, end));
  return {
    length: end - start,
    read: (from = 0, to = end - start) => source.read(start + from, start + to),
    scan: (look, from, to) => scan(source, look, start + from, start + to),
    borrow: (from, to) => borrowed(source, start + from, start + to),
  };
}

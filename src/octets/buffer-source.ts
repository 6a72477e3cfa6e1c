import { borrowed, type ScannableSource, scan } from './scan.ts';
import { CHUNK_OCTETS, type OctetSource, type OctetStream } from './source.ts';

/** Octets in memory as a source; chunks are views on them. */
export function bufferSource(octets: Buffer): OctetSource {
  return {
    length: octets.length,
    async *read(start = 0, end = octets.length): OctetStream {
      for (let at = start; at < end; at += CHUNK_OCTETS) {
        yield octets.subarray(at, Math.min(at + CHUNK_OCTETS, end));
      }
    },
  };
}

/** A part of a source as a source of its own. */
export function sliceOf(source: OctetSource, start: number, end: number): ScannableSource {
  return {
    length: end - start,
    read: (from = 0, to = end - start) => source.read(start + from, start + to),
    scan: (look, from, to) => scan(source, look, start + from, start + to),
    borrow: (from, to) => borrowed(source, start + from, start + to),
  };
}

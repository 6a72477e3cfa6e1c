import type { OctetSource } from '../../../src/octets/source.ts';

/** The octets in pieces of `octets` each, none of which is all of them: nothing that has a faster way for memory takes it. */
export function inPieces(whole: Buffer, octets: number): OctetSource {
  return {
    length: whole.length,
    async *read(start = 0, end = whole.length) {
      for (let at = start; at < end; at += octets) yield whole.subarray(at, Math.min(end, at + octets));
    },
  };
}

import type { OctetSource, OctetStream } from './source.ts';
import { type OctetTransform, transformed } from './transform.ts';

/**
 * What a transform makes of a source, to be read from any place. Reading begins with the source's first octet each time, since
 * only the transform knows what an octet of it comes from.
 *
 * @param length what the transform makes, octets; another number is an error while it is read
 * @param begin makes the transform for one reading
 */
export function transformedSource(
  source: { read(): OctetStream },
  length: number,
  begin: () => OctetTransform,
): OctetSource {
  return {
    length,
    async *read(start = 0, end = length): OctetStream {
      if (start >= end) return;
      let at = 0;
      for await (const chunk of transformed(source.read(), begin())) {
        const next = at + chunk.length;
        if (next > start) {
          const wanted = chunk.subarray(Math.max(0, start - at), Math.min(chunk.length, end - at));
          if (wanted.length > 0) yield wanted;
        }
        at = next;
        if (at >= end && end < length) return;
      }
      if (at !== length) throw new Error('a transform made another number of octets than before');
    },
  };
}

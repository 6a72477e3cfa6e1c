import type { OctetSource, OctetStream } from './source.ts';

/** Sources one after another, as one. */
export function joinedSource(parts: readonly OctetSource[]): OctetSource {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return {
    length,
    async *read(start = 0, end = length): OctetStream {
      let at = 0;
      for (const part of parts) {
        const from = Math.max(0, start - at);
        const to = Math.min(part.length, end - at);
        if (from < to) yield* part.read(from, to);
        at += part.length;
        if (at >= end) return;
      }
    },
  };
}

import { borrowed, type ScannableSource, scan } from './scan.ts';
import type { OctetSource, OctetStream } from './source.ts';

/** Sources one after another, as one. */
export function joinedSource(parts: readonly OctetSource[]): ScannableSource {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return {
    length,
    async *read(start = 0, end = length): OctetStream {
      for (const [part, from, to] of between(parts, start, end)) yield* part.read(from, to);
    },
    async *borrow(start, end) {
      for (const [part, from, to] of between(parts, start, end)) yield* borrowed(part, from, to);
    },
    async scan(look, start, end) {
      for (const [part, from, to] of between(parts, start, end)) {
        if ((await scan(part, look, from, to)) === 'stop') return 'stop';
      }
      return undefined;
    },
  };
}

/** The parts that have octets from `start` to before `end`, and where in them those are. */
function* between(
  parts: readonly OctetSource[],
  start: number,
  end: number,
): Iterable<readonly [OctetSource, number, number]> {
  let at = 0;
  for (const part of parts) {
    if (at >= end) return;
    const from = Math.max(0, start - at);
    const to = Math.min(part.length, end - at);
    if (from < to) yield [part, from, to];
    at += part.length;
  }
}

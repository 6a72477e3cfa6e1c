import { CHUNK_OCTETS, type OctetSource } from '../octets/source.ts';

const FIRST_LINE = Buffer.from('These blanks keep the size that the mail server has announced.\r\n');
const LINE_OCTETS = 78;
const LINES = Buffer.from(
  `${' '.repeat(LINE_OCTETS - 2)}\r\n`.repeat(Math.ceil(CHUNK_OCTETS / LINE_OCTETS) + 1),
);

/**
 * Exactly `length` octets (not 1) of lines that end with CRLF; MIME readers ignore them (RFC 2046 §5.1.1). They are made while
 * they are read.
 */
export function epilogue(length: number): OctetSource {
  const first = length >= FIRST_LINE.length + 2 ? FIRST_LINE : FIRST_LINE.subarray(0, 0);
  const tail = tailOf(length - first.length);
  const tailStart = length - tail.length;
  return {
    length,
    async *read(start = 0, end = length) {
      let at = start;
      if (at < first.length && at < end) {
        yield first.subarray(at, end);
        at = first.length;
      }
      while (at < Math.min(end, tailStart)) {
        const inLine = (at - first.length) % LINE_OCTETS;
        const chunk = LINES.subarray(inLine, inLine + Math.min(CHUNK_OCTETS, Math.min(end, tailStart) - at));
        yield chunk;
        at += chunk.length;
      }
      if (at < end) yield tail.subarray(at - tailStart, end - tailStart);
    },
  };
}

/** What follows the last whole line; together with that one where a single octet would be left, which makes no line. */
function tailOf(octets: number): Buffer {
  let left = octets % LINE_OCTETS;
  if (left === 0) return LINES.subarray(0, 0);
  const lines: string[] = [];
  if (left === 1) {
    lines.push(`${' '.repeat(LINE_OCTETS - 4)}\r\n`);
    left = 3;
  }
  lines.push(`${' '.repeat(left - 2)}\r\n`);
  return Buffer.from(lines.join(''), 'latin1');
}

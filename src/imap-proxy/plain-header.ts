import { mayHoldForgery } from '../mail-view/forged-status.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import { endOfField, endOfLine, isContentType, mayBeStatus } from './header-lines.ts';

const HT = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const COLON = 0x3a;

/** `header`: all of the octets are header fields; `message`: they begin with a header and its empty line. */
export type HeaderSpan = 'header' | 'message';

/**
 * Whether the header that begins at `start` is surely shown as it is stored: all lines end with CRLF and hold no NUL, no field
 * is a status of ours, and the Content-Type, if there is one, is neither encrypted nor signed.
 */
export function isPlainHeader(
  octets: Buffer,
  start: number,
  end: number,
  holds: HeaderSpan,
  names: ViewNames,
): boolean {
  let at = start;
  while (at < end) {
    const first = octets[at] ?? 0;
    // The empty line: what is behind it is no header.
    if (first === CR)
      return octets[at + 1] === LF && at + 2 <= end && (holds === 'message' || at + 2 === end);
    // What continues no field.
    if (at === start && (first === SP || first === HT)) return false;
    const lineEnd = endOfLine(octets, at, end);
    if (lineEnd === -1) return false;
    if (mayBeStatus(octets, at, first)) {
      const fieldEnd = endOfField(octets, lineEnd, end);
      if (fieldEnd === -1 || mayHoldForgery(octets.subarray(at, fieldEnd), names)) return false;
      at = fieldEnd;
    } else if ((first | 0x20) === 0x63 && isContentType(octets, at)) {
      const fieldEnd = endOfField(octets, lineEnd, end);
      if (fieldEnd === -1 || !isPlainContentType(octets, at, fieldEnd)) return false;
      at = fieldEnd;
    } else at = lineEnd;
  }
  return holds === 'header';
}

/** No class but `none` (message-class.ts) does without one of these words, and they may be written with comments. */
function isPlainContentType(octets: Buffer, at: number, end: number): boolean {
  if (octets[at + 'content-type'.length] !== COLON) return false;
  return !/application|signed|\(/i.test(octets.toString('latin1', at, end));
}

const EMPTY_LINE = Buffer.from('\r\n\r\n');

/** Behind the first empty line of the header that begins at `start`, if all its line ends are CRLF; -1: it is not there. */
export function endOfHeader(octets: Buffer, start: number): number {
  if (octets[start] === CR && octets[start + 1] === LF) return start + 2;
  const at = octets.indexOf(EMPTY_LINE, start);
  return at === -1 ? -1 : at + EMPTY_LINE.length;
}

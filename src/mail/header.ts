import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { HeaderField, Range } from './entity.ts';

/**
 * The header of a message or a body part (RFC 5322 §2.2, RFC 2045 §3) as byte ranges.
 *
 * Every octet of the header is in the range of exactly one field: a line that is no field stays visible as a field
 * without a name. Lines end with CRLF or, as stored mail has it, with LF; a lone CR is an octet like any other and
 * makes the fields that matter (From, Content-Type) malformed where they are read.
 */

export type Header = {
  /** Ends after the line end of the last field. */
  range: Range;
  fields: readonly HeaderField[];
  /** After the empty line; the end of the header where there is none. */
  bodyStart: number;
};

const HT = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const COLON = 0x3a;

/**
 * Reads the header that begins at `start` and ends with an empty line, at `limitEnd`, or before the first line for
 * which `endsHeader` holds (a boundary line of an enclosing multipart).
 * Throws SealgateError `mail.header-too-large` beyond limits.mail.headerOctets.
 */
export function readHeader(
  octets: Uint8Array,
  start: number,
  limitEnd: number,
  endsHeader: (lineStart: number) => boolean = () => false,
): Header {
  const buffer = asBuffer(octets);
  const ranges: Range[] = [];
  let at = start;
  let fieldStart = start;
  const finish = (end: number): void => {
    if (end > fieldStart) ranges.push({ start: fieldStart, end });
    fieldStart = end;
  };
  while (at < limitEnd) {
    const next = lineAfter(buffer, at, limitEnd);
    if (isEmptyLine(buffer, at, next)) {
      finish(at);
      return { range: { start, end: at }, fields: readFields(buffer, ranges), bodyStart: next };
    }
    if (endsHeader(at)) break;
    if (next - start > limits.mail.headerOctets) throw tooLarge();
    const continues = isBlank(buffer[at]) && at > start && !isMalformedAt(buffer, fieldStart, at);
    if (!continues) finish(at);
    at = next;
  }
  finish(at);
  return { range: { start, end: at }, fields: readFields(buffer, ranges), bodyStart: at };
}

/** What a header says under one name; a second field of a name that may occur once is never overlooked. */
export type FieldLookup =
  | { kind: 'none' }
  | { kind: 'one'; field: HeaderField }
  | { kind: 'several'; fields: readonly HeaderField[] };

/** Looks `name` up without regard to case. */
export function field(fields: readonly HeaderField[], name: string): FieldLookup {
  const found = fieldsNamed(fields, name);
  const [first] = found;
  if (first === undefined) return { kind: 'none' };
  return found.length === 1 ? { kind: 'one', field: first } : { kind: 'several', fields: found };
}

/** All fields of that name in their order, without regard to case. */
export function fieldsNamed(fields: readonly HeaderField[], name: string): readonly HeaderField[] {
  const wanted = name.toLowerCase();
  // Names are ASCII, so their length tells most of them apart before a lower-case copy is made.
  return fields.filter((each) => each.name.length === wanted.length && each.name.toLowerCase() === wanted);
}

/** Lines that are neither a field nor a continuation; a message with any is not RFC 5322. */
export function malformedLines(fields: readonly HeaderField[]): readonly HeaderField[] {
  return fields.filter((each) => each.name === '');
}

/** RFC 5322 §2.2.3: unfolding removes a line end that is followed by a blank. `text` is latin1. */
export function unfold(text: string): string {
  const line = text.slice(0, text.endsWith('\r\n') ? -2 : text.endsWith('\n') ? -1 : undefined);
  // Nearly every field is one line.
  return line.includes('\n') ? line.replace(/\r?\n(?=[ \t])/g, '') : line;
}

/** The value of a field, given what stands behind its colon (latin1): unfolded, without the blanks in front. */
export function fieldValue(behindColon: string): string {
  return unfold(behindColon).replace(/^[ \t]+/, '');
}

/**
 * Without what of these characters stands at the end. A regular expression would look at every row of them inside the text again
 * from each of its characters: half a minute for a header of blanks.
 */
export function withoutAtEnd(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** Decodes the header once and cuts it: `ranges` follow each other without a gap. */
function readFields(buffer: Buffer, ranges: readonly Range[]): HeaderField[] {
  const start = ranges[0]?.start ?? 0;
  const text = buffer.toString('latin1', start, ranges.at(-1)?.end ?? start);
  return ranges.map((range) => {
    const colon = nameEnd(buffer, range.start, range.end);
    if (colon === -1)
      return { name: '', value: unfold(text.slice(range.start - start, range.end - start)), range };
    const name = text.slice(range.start - start, colon - start);
    return { name, value: fieldValue(text.slice(colon + 1 - start, range.end - start)), range };
  });
}

// field-name = 1*ftext ; %d33-57 / %d59-126 (RFC 5322 §3.6.8)
/** Offset of the colon after a well-formed field name, else -1. A blank before the colon (obs) is not well-formed. */
function nameEnd(buffer: Buffer, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    const octet = buffer[i] ?? 0;
    if (octet === COLON) return i > start ? i : -1;
    if (octet <= SP || octet > 126) return -1;
  }
  return -1;
}

/** Whether the unfinished field is a malformed line: it takes no continuation, so that nothing can hide behind it. */
function isMalformedAt(buffer: Buffer, start: number, end: number): boolean {
  return nameEnd(buffer, start, end) === -1;
}

/** Start of the line after the one at `at`. */
export function lineAfter(buffer: Buffer, at: number, limitEnd: number): number {
  const lf = buffer.indexOf(LF, at);
  return lf === -1 || lf >= limitEnd ? limitEnd : lf + 1;
}

function isEmptyLine(buffer: Buffer, at: number, next: number): boolean {
  if (next - at === 1) return buffer[at] === LF;
  return next - at === 2 && buffer[at] === CR && buffer[at + 1] === LF;
}

function isBlank(octet: number | undefined): boolean {
  return octet === SP || octet === HT;
}

/** The same octets as a Buffer; no copy. */
export function asBuffer(octets: Uint8Array): Buffer {
  return Buffer.isBuffer(octets) ? octets : Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
}

function tooLarge(): SealgateError {
  return new SealgateError({
    code: 'mail.header-too-large',
    publicText: 'The header of this message, or of one of its parts, is larger than this gateway reads.',
    duration: 'permanent',
  });
}

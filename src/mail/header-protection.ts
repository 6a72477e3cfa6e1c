import { SealgateError, unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import type { HeaderField } from './entity.ts';
import { safeField } from './header-encoding.ts';
import { isStructural } from './header-protection-fields.ts';

/**
 * Header protection as RFC 9788 §5.2 has it: the header fields are copied into the root of the cryptographic payload,
 * its Content-Type says so, and what an encrypted message is to keep for its readers is taken out of the header outside.
 *
 * Holds: what stays outside stays in its order and byte for byte; a field that is hidden is nowhere outside.
 * Must never happen: a blind copy inside; a field hidden that its readers would not find inside; a record of the outer
 * header that its author has not written.
 */
export type HeaderProtection =
  /** The payload is signed only: nothing is hidden. */
  | { kind: 'clear' }
  /** The payload is encrypted, signed or not. */
  | { kind: 'cipher'; confidentiality: HeaderConfidentiality };

/**
 * RFC 9788 §3.2. `none`: hcp_no_confidentiality. `baseline`: hcp_baseline, and Thread-Topic goes too, in which some mail
 * programs repeat the Subject.
 */
export type HeaderConfidentiality = 'baseline' | 'none';

/** What hcp_baseline (RFC 9788 §3.2.1) puts in the place of the Subject. */
export const HIDDEN_SUBJECT = '[...]';

export type ProtectedHeader = {
  /** Fields that stay outside, CRLF where they had it, without the empty line. */
  outer: Buffer;
  /** Lines that go before the Content-* fields of the payload's root: CRLF; ASCII but for addresses beyond it. */
  inner: Buffer;
};

/**
 * @param octets what the ranges of `fields` are in
 * @param fields the header's fields without the structural ones; others are passed over
 * @throws SealgateError `mail.header-too-large` where readers could not read that much, `mail.cannot-make-safe` for a NUL
 *   or a lone CR in a field
 */
export function protectHeader(
  octets: Buffer,
  fields: readonly HeaderField[],
  protection: HeaderProtection,
): ProtectedHeader {
  const outer: string[] = [];
  const copies: string[] = [];
  const records: string[] = [];
  const text = textOf(octets, fields);
  const plain = isPlain(text.all);
  for (const field of fields) {
    const name = field.name.toLowerCase();
    if (isStructural(name)) continue;
    const stays = text.of(field);
    const outside = outsideOf(field.name, name, stays, protection);
    if (outside !== null) outer.push(outside);
    if (name === '' || NOT_COPIED.has(name)) continue;
    const copy = plain ? ended(stays) : insideOf(octets, field, stays);
    copies.push(plain ? copy : folded(copy));
    if (protection.kind === 'cipher' && outside !== null) {
      const record = `HP-Outer: ${outside === stays ? copy : outside}`;
      records.push(plain ? record : folded(record));
    }
  }
  const lines = [...copies, ...records];
  const inner = Buffer.from(lines.join(''), 'latin1');
  // The Content-* fields come on top of it.
  if (lines.length > limits.mail.protectedFields || inner.length > limits.mail.headerOctets / 2) {
    throw new SealgateError({
      code: 'mail.header-too-large',
      duration: 'permanent',
      publicText: 'The header of this message is too large to be protected with the message.',
    });
  }
  return { outer: Buffer.from(outer.join(''), 'latin1'), inner };
}

/** The fields as written, latin1: decoded once, cut often. */
function textOf(
  octets: Buffer,
  fields: readonly HeaderField[],
): { all: string; of(field: HeaderField): string } {
  const start = fields[0]?.range.start ?? 0;
  const all = octets.toString('latin1', start, fields.at(-1)?.range.end ?? start);
  return { all, of: ({ range }) => all.slice(range.start - start, range.end - start) };
}

/** Whether no line needs a change to be safe on its way; nearly every header is like that. */
function isPlain(text: string): boolean {
  if (/[^\t\r\n -~]/.test(text)) return false;
  let start = 0;
  for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
    if (text[end - 1] !== '\r' || text[end - 2] === ' ' || text[end - 2] === '\t') return false;
    if (end - start > PLAIN_LINE || text.indexOf('\r', start) !== end - 1) return false;
    start = end + 1;
  }
  return text.length - start <= PLAIN_LINE && text.indexOf('\r', start) === -1 && !/[ \t]$/.test(text);
}

/** Leaves room for `HP-Outer: `. */
const PLAIN_LINE = 980;

/** null: nothing of it stays outside. `stays` itself where nothing is hidden. */
function outsideOf(
  name: string,
  lowerName: string,
  stays: string,
  protection: HeaderProtection,
): string | null {
  if (protection.kind === 'clear') return stays;
  switch (protection.confidentiality) {
    case 'none':
      return stays;
    case 'baseline':
      switch (lowerName) {
        case 'subject':
          return `${name}: ${HIDDEN_SUBJECT}\r\n`;
        case 'keywords':
        case 'comments':
        case 'thread-topic':
          return null;
        default:
          return stays;
      }
    default:
      return unreachable(protection.confidentiality);
  }
}

/**
 * Blind copies stay unsaid, trace fields are not the author's, and an HP-Outer or a result of checks that lay outside is
 * nobody's word.
 */
const NOT_COPIED: ReadonlySet<string> = new Set([
  'bcc',
  'resent-bcc',
  'hp-outer',
  'received',
  'return-path',
  'authentication-results',
]);

/** The field as relays leave it alone. An address beyond ASCII has no other form (RFC 6532) and stays as it is. */
function insideOf(octets: Buffer, field: HeaderField, raw: string): string {
  try {
    return safeField(octets, field).toString('latin1');
  } catch (error) {
    if (!(error instanceof SealgateError) || /\0|\r(?!\n)/.test(raw)) throw error;
    return `${field.name}: ${field.value.trimEnd()}\r\n`;
  }
}

/** RFC 5322 §2.1.1. */
const LINE_OCTETS = 998;

/** Folds at blanks, where unfolding gives the same text back, lines that have become too long. */
function folded(field: string): string {
  if (field.length <= LINE_OCTETS) return ended(field);
  const lines = ended(field).split(/(?<=\r\n)/);
  return lines.map(foldedLine).join('');
}

function foldedLine(line: string): string {
  let rest = line;
  let out = '';
  while (rest.length > LINE_OCTETS + 2) {
    const name = out === '' ? (/^[^ \t:]+:[ \t]*/.exec(rest)?.[0].length ?? 1) : 1;
    // Before all the blanks, so that none stands at the end of a line.
    const at = rest.slice(0, LINE_OCTETS).search(/[ \t]+[^ \t]*$/);
    // A line of blanks only would end the header for some readers.
    if (at < name || rest.slice(at).trim() === '') break;
    out += `${rest.slice(0, at)}\r\n`;
    rest = rest.slice(at);
  }
  return out + rest;
}

function ended(field: string): string {
  return field.endsWith('\r\n') ? field : `${field.replace(/\n$/, '')}\r\n`;
}

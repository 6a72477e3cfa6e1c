import { SealgateError } from '../errors.ts';
import { canonicalLines } from './canonical.ts';
import { encodeWords } from './encoded-word.ts';
import type { HeaderField } from './entity.ts';
import { withoutAtEnd } from './header.ts';

/**
 * Header fields inside a signed entity as relays leave them alone: ASCII only, CRLF, no blank before a line end.
 * Octets beyond ASCII (raw file names, RFC 6532 headers of forwarded messages) become encoded words or RFC 2231
 * parameters; a reader sees the same text.
 */

const ADDRESS_FIELDS = new Set([
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'bcc',
  'resent-from',
  'resent-sender',
  'resent-to',
  'resent-cc',
  'resent-bcc',
]);

/**
 * The field's octets, unchanged where they are safe. Throws SealgateError `mail.cannot-make-safe`.
 *
 * @param base where `octets` begins in what the field's range counts in
 */
export function safeField(octets: Buffer, field: HeaderField, base = 0): Buffer {
  const raw = octets.subarray(field.range.start - base, field.range.end - base);
  const lines = raw.toString('latin1');
  if (/\0|\r(?!\n)/.test(lines)) throw cannotMakeSafe('NUL or a lone CR in a header');
  if (!/[\x80-\xff]/.test(lines)) {
    if (!/[ \t](?:\r?\n|$)/.test(lines)) return canonicalLines(raw);
    // A line of blanks only must not become the empty line that ends the header, so it goes.
    const kept = lines.split(/(?<=\n)/).filter((line) => line.trim() !== '');
    const trimmed = kept.map(withoutPadding).join('');
    return canonicalLines(Buffer.from(trimmed, 'latin1'));
  }
  const name = field.name.toLowerCase();
  const value = withoutAtEnd(field.value, ' \t');
  if (name === 'content-type' || name === 'content-disposition') {
    return written(field.name, encodeParameters(value));
  }
  if (name !== '' && ADDRESS_FIELDS.has(name)) return written(field.name, encodeAddresses(value));
  if (name !== '') return written(field.name, encodeText(value));
  throw cannotMakeSafe('a line of the header is no field');
}

/** A line without the blanks before its line end. */
function withoutPadding(line: string): string {
  const lineEnd = line.endsWith('\r\n') ? '\r\n' : line.endsWith('\n') ? '\n' : '';
  return withoutAtEnd(line.slice(0, line.length - lineEnd.length), ' \t') + lineEnd;
}

function written(name: string, value: string): Buffer {
  if (/[\x80-\uffff]/.test(value)) throw cannotMakeSafe(`${name} cannot be written in ASCII`);
  return Buffer.from(`${name}: ${value}\r\n`, 'latin1');
}

// RFC 2231 §4: name*=utf-8''percent-encoded
function encodeParameters(value: string): string {
  return value.replace(
    /;\s*([^=;\s"]+?)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"]*)/gs,
    (whole, name: string, data: string) => {
      if (!/[\x80-\xff]/.test(data)) return whole;
      const text = data.startsWith('"') ? data.slice(1, -1).replace(/\\(.)/gs, '$1') : data.trim();
      return `;\r\n ${name.replace(/\*$/, '')}*=utf-8''${percentEncode(wide(text))}`;
    },
  );
}

function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(/['()*!~]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
}

/** Unstructured text (RFC 2047 §5 rule 1): words with wide characters, and blanks between two such, are encoded. */
function encodeText(value: string): string {
  return encodeRuns(value.match(/[ \t]+|[^ \t]+/g) ?? [], isWide, (word) => word);
}

/** Display names (RFC 2047 §5 rule 3); the addresses themselves cannot be encoded (RFC 6532). */
function encodeAddresses(value: string): string {
  const tokens = addressTokens(value);
  return encodeRuns(
    tokens,
    (token, at) => isWide(token) && tokens[at - 1] !== '@' && tokens[at + 1] !== '@',
    (token) => (token.startsWith('"') ? token.slice(1, -1).replace(/\\(.)/gs, '$1') : token),
  );
}

function isWide(text: string): boolean {
  return /[\x80-\xff]/.test(text);
}

/**
 * What is to be encoded, together with the blanks between two such: between two encoded words those would be lost
 * (RFC 2047 §6.2).
 *
 * @param tokens words, blanks and what else there is; each octet of the value is in one
 * @param says a token without its quotation marks
 */
function encodeRuns(
  tokens: readonly string[],
  isEncoded: (token: string, at: number) => boolean,
  says: (token: string) => string,
): string {
  let text = '';
  let at = 0;
  while (at < tokens.length) {
    let token = tokens[at] ?? '';
    if (!isEncoded(token, at)) {
      text += token;
      at++;
      continue;
    }
    let run = says(token);
    for (;;) {
      const blanks = tokens[at + 1] ?? '';
      token = tokens[at + 2] ?? '';
      if (!/^[ \t]/.test(blanks) || !isEncoded(token, at + 2)) break;
      run += blanks + says(token);
      at += 2;
    }
    text += encodeWords(wide(run));
    at++;
  }
  return text;
}

/** Quoted strings, blanks, words and single specials. `\s` would take octets of UTF-8 for blanks. */
function addressTokens(value: string): string[] {
  const tokens: string[] = [];
  const plain = /[ \t]+|[^ \t"<>(),:;@]+|[\s\S]/y;
  let mayClose = true;
  for (let at = 0; at < value.length; ) {
    let end = -1;
    if (value[at] === '"' && mayClose) {
      end = quotedEnd(value, at);
      // One that does not end has only quoted quotation marks behind it, which end none either.
      mayClose = end !== -1;
    }
    if (end === -1) {
      plain.lastIndex = at;
      end = at + (plain.exec(value)?.[0].length ?? 1);
    }
    tokens.push(value.slice(at, end));
    at = end;
  }
  return tokens;
}

/** Offset behind the quoted string that begins at `start`; -1: it does not end. */
function quotedEnd(value: string, start: number): number {
  for (let i = start + 1; i < value.length; i++) {
    if (value[i] === '\\') i++;
    else if (value[i] === '"') return i + 1;
  }
  return -1;
}

/** latin1 of a header field's octets as text: UTF-8 where it is that. */
function wide(latin1: string): string {
  const octets = Buffer.from(latin1, 'latin1');
  const text = octets.toString('utf8');
  return Buffer.from(text).equals(octets) ? text : latin1;
}

export function cannotMakeSafe(reason: string): SealgateError {
  return new SealgateError({
    code: 'mail.cannot-make-safe',
    publicText:
      'A part of this message cannot be written so that a signature over it survives the way to its readers.',
    duration: 'permanent',
    reason,
  });
}

import { readHeader } from '../mail/header.ts';
import { canonicalField } from './protected-fields.ts';

/**
 * The fields that stay readable outside a message which is encrypted where it is stored: those by which servers sort and find mail,
 * and those by which clients find again what they have just stored.
 */
const KEPT: ReadonlySet<string> = new Set(
  (
    'from to cc date message-id in-reply-to references user-agent x-mailer ' +
    'x-tuid x-identity x-unsent x-uniform-type-identifier x-universally-unique-identifier'
  ).split(' '),
);
const KEPT_FAMILIES = ['x-offlineimap', 'x-mozilla-', 'x-identity-'];

/**
 * The outer header of such a message: lines with CRLF, without the empty line. Lines that are no fields stay out.
 *
 * @param header as the client has it
 * @param subject `protect`: `[...]` stands in its place (RFC 9788 §3.2.1)
 * @throws SealgateError `mail.header-too-large`
 */
export function atRestOuterHeader(header: Buffer, subject: 'keep' | 'protect'): Buffer {
  const lines: string[] = [];
  for (const { name, range } of readHeader(header, 0, header.length).fields) {
    const known = name.toLowerCase();
    if (known === 'subject') {
      if (subject === 'protect') lines.push('Subject: [...]\r\n');
      else lines.push(fieldLines(header, range));
    } else if (isKept(known)) lines.push(fieldLines(header, range));
  }
  return Buffer.from(lines.join(''), 'latin1');
}

function isKept(name: string): boolean {
  return KEPT.has(name) || KEPT_FAMILIES.some((family) => name.startsWith(family));
}

function fieldLines(header: Buffer, { start, end }: { start: number; end: number }): string {
  return canonicalField(header.toString('latin1', start, end));
}

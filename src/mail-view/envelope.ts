import { SealgateError } from '../errors.ts';
import { type Address, readAddresses } from '../mail/address.ts';
import { encodeWords } from '../mail/encoded-word.ts';
import type { HeaderField } from '../mail/entity.ts';
import { fieldsNamed } from '../mail/header.ts';
import { imapNstring } from './imap-string.ts';

/**
 * ENVELOPE (RFC 9051 §7.5.2) of a message inside a view, and of a view that shows protected header fields. That of other
 * views is the stored message's, from the server.
 *
 *   envelope = "(" date SP subject SP from SP sender SP reply-to SP to SP cc SP bcc SP in-reply-to SP message-id ")"
 */
export function envelope(fields: readonly HeaderField[]): string {
  const text = (name: string): string => imapNstring(fieldsNamed(fields, name)[0]?.value ?? null);
  const addresses = (name: string): string | null => addressList(fieldsNamed(fields, name)[0]?.value ?? null);
  const from = addresses('from');
  return `(${[
    text('date'),
    text('subject'),
    from ?? 'NIL',
    addresses('sender') ?? from ?? 'NIL',
    addresses('reply-to') ?? from ?? 'NIL',
    addresses('to') ?? 'NIL',
    addresses('cc') ?? 'NIL',
    addresses('bcc') ?? 'NIL',
    text('in-reply-to'),
    text('message-id'),
  ].join(' ')})`;
}

/** null: absent, empty, or not in the grammar. */
function addressList(value: string | null): string | null {
  if (value === null) return null;
  try {
    const list = readAddresses(value);
    return list.length === 0 ? null : `(${list.map(addressText).join('')})`;
  } catch (error) {
    if (error instanceof SealgateError) return null;
    throw error;
  }
}

// address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"
function addressText(address: Address): string {
  const octets = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  const name = address.displayName === null ? null : wordsOf(address.displayName);
  return `(${imapNstring(name)} NIL ${imapNstring(octets(address.localPart))} ${imapNstring(octets(address.domain))})`;
}

/** A name as header fields have it, in which encoded words were decoded: IMAP strings are ASCII (RFC 9051 §4.3). */
function wordsOf(name: string): string {
  return /^[ -~]*$/.test(name) ? name : encodeWords(name).replace(/\r\n/g, '');
}

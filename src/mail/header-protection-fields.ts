import { domainToASCII } from 'node:url';
import { SealgateError } from '../errors.ts';
import { readAddresses } from './address.ts';
import { decodeEncodedWords } from './encoded-word.ts';

/** Which header fields header protection (RFC 9788) is about, and when two values of one say the same. */

/** RFC 9787 §1.1.1: fields that say how the body is written. They belong to the entity and are never copied. */
export function isStructural(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === 'mime-version' || lower.startsWith('content-');
}

/**
 * Fields that the author writes and a mail program shows, files or answers by, lower case. Only these are ever shown from
 * inside a message: what servers write (Received, List-*, spam verdicts, results of checks) nobody else may write in their place.
 */
export const AUTHORED_FIELDS = [
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
  'keywords',
  'comments',
  'thread-topic',
  'organization',
  'importance',
  'priority',
  'x-priority',
  'followup-to',
  'mail-followup-to',
  'mail-reply-to',
  'disposition-notification-to',
] as const;

export type AuthoredField = (typeof AUTHORED_FIELDS)[number];

const AUTHORED: ReadonlySet<string> = new Set(AUTHORED_FIELDS);

/** `name` in lower case. */
export function isAuthored(name: string): name is AuthoredField {
  return AUTHORED.has(name);
}

/** Fields that may stand only once (RFC 5322 §3.6). */
const SINGLE: ReadonlySet<string> = new Set([
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
]);

export function isSingle(name: AuthoredField): boolean {
  return SINGLE.has(name);
}

/** What a mail server adds where the author's program has left it out (RFC 6409 §8). */
export function isAddedOnTheWay(name: AuthoredField): boolean {
  return name === 'date' || name === 'message-id';
}

const ADDRESSES: ReadonlySet<string> = new Set([
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'mail-followup-to',
  'mail-reply-to',
  'disposition-notification-to',
]);

const IDENTIFIERS: ReadonlySet<string> = new Set(['message-id', 'in-reply-to', 'references']);

/**
 * What an unfolded value (latin1) says: two values with one key say the same. Servers fold anew, encode and decode words,
 * quote names and rewrite dates; none of that is a difference.
 */
export function valueKey(name: AuthoredField, value: string): string {
  if (name === 'date') return String(instant(value) ?? readable(value));
  if (IDENTIFIERS.has(name)) return value.replace(/[ \t]/g, '');
  return (ADDRESSES.has(name) ? addressKeys(value) : null) ?? readable(value);
}

function collapsed(value: string): string {
  return value.replace(/[ \t]+/g, ' ').trim();
}

/** Milliseconds; null: no date. The day of the week and comments prove nothing and are often wrong. */
function instant(value: string): number | null {
  const plain = value.replace(/\([^()]*\)/g, ' ').replace(/^\s*[A-Za-z]{3}\s*,/, '');
  const time = Date.parse(plain);
  return Number.isNaN(time) ? null : time;
}

/** Display names and addresses as one text; null: not readable. */
function addressKeys(value: string): string | null {
  try {
    const keys = readAddresses(value).map(({ displayName, localPart, domain, group }) => [
      readable(displayName ?? ''),
      localPart,
      domainKey(domain),
      group,
    ]);
    return JSON.stringify(keys);
  } catch (error) {
    if (error instanceof SealgateError) return null;
    throw error;
  }
}

/** RFC 9788 §4.4: domains without case, as A-labels. */
export function domainKey(domain: string): string {
  return domain.startsWith('[') ? domain.toLowerCase() : domainToASCII(domain) || domain.toLowerCase();
}

/** What a reader is shown. */
function readable(value: string): string {
  return collapsed(decodeEncodedWords(wide(value))).normalize('NFC');
}

/** RFC 6532 §3.2: octets beyond ASCII are UTF-8 where they can be. */
function wide(value: string): string {
  if (!/[\x80-\xff]/.test(value)) return value;
  const octets = Buffer.from(value, 'latin1');
  const text = octets.toString('utf8');
  return Buffer.from(text, 'utf8').equals(octets) ? text : value;
}

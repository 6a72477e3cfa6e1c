import { randomFillSync } from 'node:crypto';

declare const brand: unique symbol;

/** One id for a mail from its acceptance to its bounce; shown in the SMTP reply and in every log line. */
export type MailId = string & { readonly [brand]: 'MailId' };

/** One id for a client connection. */
export type SessionId = string & { readonly [brand]: 'SessionId' };

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * 10 characters of time (milliseconds, sortable) and 10 of chance: 50 random bits in each millisecond. Bits of chance are drawn for
 * many ids at a time: drawing them for one costs more than all the rest.
 */
function sortableId(): string {
  if (drawn + 2 > CHANCE.length) {
    randomFillSync(CHANCE);
    drawn = 0;
  }
  const first = CHANCE[drawn++] ?? 0;
  const last = CHANCE[drawn++] ?? 0;
  return timeDigits(Date.now()) + base32(first, 5) + base32(last, 5);
}

const CHANCE = new Uint32Array(256);
let drawn = CHANCE.length;

let latest = { time: -1, digits: '' };

function timeDigits(time: number): string {
  if (latest.time !== time) latest = { time, digits: base32(time, 10) };
  return latest.digits;
}

/** The lowest `length` digits. */
function base32(value: number, length: number): string {
  let rest = value;
  let digits = '';
  for (let i = 0; i < length; i++) {
    digits = (ALPHABET[rest % 32] ?? '') + digits;
    rest = Math.floor(rest / 32);
  }
  return digits;
}

export function newMailId(): MailId {
  return sortableId() as MailId;
}

export function newSessionId(): SessionId {
  return sortableId() as SessionId;
}

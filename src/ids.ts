import { randomBytes } from 'node:crypto';

declare const brand: unique symbol;

/** One id for a mail from its acceptance to its bounce; shown in the SMTP reply and in every log line. */
export type MailId = string & { readonly [brand]: 'MailId' };

/** One id for a client connection. */
export type SessionId = string & { readonly [brand]: 'SessionId' };

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** 10 characters of time (milliseconds, sortable) and 10 of chance: 50 random bits in each millisecond. */
function sortableId(): string {
  let time = Date.now();
  let head = '';
  for (let i = 0; i < 10; i++) {
    head = ALPHABET[time % 32] + head;
    time = Math.floor(time / 32);
  }
  let tail = '';
  for (const octet of randomBytes(10)) tail += ALPHABET[octet & 31];
  return head + tail;
}

export function newMailId(): MailId {
  return sortableId() as MailId;
}

export function newSessionId(): SessionId {
  return sortableId() as SessionId;
}

import { randomBytes } from 'node:crypto';
import { SealgateError } from '../errors.ts';

/** What every sealed spool has alike, whether it is a folder or a table. */

export const SPOOL_NAME = /^[0-9a-v]{20}$/;
const ALPHABET = '0123456789abcdefghijklmnopqrstuv';

/** Of the time, so that what comes together lies together in the indexes of a database: else one more mail costs a third more where 100,000 wait. */
const TIME_LETTERS = 9;
const LETTERS = 20;

/** The time, and 55 bits of chance. */
export function randomSpoolName(now = Date.now()): string {
  const time = now.toString(32).padStart(TIME_LETTERS, '0').slice(-TIME_LETTERS);
  const chance = Array.from(randomBytes(LETTERS - TIME_LETTERS), (octet) => ALPHABET[octet & 31]);
  return time + chance.join('');
}

/** What is sealed begins with it, so that one that was put in the place of another is damage. */
export function spoolMark(name: string): Buffer {
  return Buffer.from(`${name}\r\n`, 'latin1');
}

/** No room: of a file system, and of PostgreSQL's (disk_full). */
const FULL: ReadonlySet<string | null> = new Set(['ENOSPC', 'EDQUOT', '53100']);

/** No room, or, with anything else, no place. Both pass. @param place in the log alone */
export function spoolUnusable(place: string, cause: unknown): SealgateError {
  const reason = `${place}: ${cause instanceof Error ? cause.message : String(cause)}`;
  // What a database says is the cause of what its store says.
  const isFull = FULL.has(codeOf(cause)) || (cause instanceof Error && FULL.has(codeOf(cause.cause)));
  if (isFull) return spoolFull(reason, cause);
  return new SealgateError({
    code: 'queue.spool',
    duration: 'temporary',
    publicText: 'The gateway has no place to keep the mail just now; try again later.',
    reason,
    cause,
  });
}

export function spoolFull(reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'queue.full',
    duration: 'temporary',
    publicText: 'The gateway has no room for the mail just now; try again later.',
    reason,
    cause,
  });
}

export function spoolDamaged(): SealgateError {
  return new SealgateError({
    code: 'queue.damaged',
    duration: 'permanent',
    publicText: 'What the gateway kept of the mail is damaged, and cannot be read any more.',
  });
}

/** Of an error of the file system, or of a database. */
export function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error ? String(error.code) : null;
}

/**
 * The form that nearly every entry of a large CRL has: a short serial number, a UTCTime, and no extension or a reason
 * code alone. What is of another form is for the general reader, so this one may only refuse, never accept more: a test
 * holds the two against each other.
 */

/** `SEQUENCE { SEQUENCE { OID 2.5.29.21, OCTET STRING { ENUMERATED …` without the number of the reason. */
const REASON_ONLY = [0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01];
/** Identifier, length and `YYMMDDhhmmssZ`. */
const UTC_OCTETS = 15;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * @param withReason false: an entry with extensions is not plain (CRLs of version 1 have none)
 * @returns the octets that the entry at `place` takes; 0: it is not of the plain form, whatever it is
 */
export function plainEntry(content: Buffer, place: number, withReason: boolean): number {
  const length = content[place + 1] ?? 0x80;
  if (content[place] !== 0x30 || length >= 0x80 || place + 2 + length > content.length) return 0;
  const serialOctets = content[place + 3] ?? 0x80;
  if (content[place + 2] !== 0x02 || serialOctets === 0 || serialOctets >= 0x80) return 0;
  const left = length - 2 - serialOctets - UTC_OCTETS;
  if (left !== 0 && (!withReason || left !== REASON_ONLY.length + 1)) return 0;
  if (isPadded(content, place + 4, serialOctets)) return 0;
  const time = place + 4 + serialOctets;
  if (!isUtcTime(content, time)) return 0;
  if (left !== 0 && !isReasonOnly(content, time + UTC_OCTETS)) return 0;
  return length + 2;
}

/** X.690 §8.3.2. */
function isPadded(content: Buffer, start: number, octets: number): boolean {
  if (octets < 2) return false;
  const first = content[start] ?? 0;
  const second = content[start + 1] ?? 0;
  return (first === 0 && second < 0x80) || (first === 0xff && second >= 0x80);
}

/** RFC 5280 §4.1.2.5.1, and a day that exists. */
function isUtcTime(content: Buffer, place: number): boolean {
  if (content[place] !== 0x17 || content[place + 1] !== 13 || content[place + 14] !== 0x5a) return false;
  const year = twoDigits(content, place + 2);
  const month = twoDigits(content, place + 4);
  const day = twoDigits(content, place + 6);
  const hour = twoDigits(content, place + 8);
  const minute = twoDigits(content, place + 10);
  const second = twoDigits(content, place + 12);
  if (year < 0 || hour < 0 || minute < 0 || second < 0) return false;
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return false;
  // 1950 to 2049: every fourth year is a leap year.
  return day <= (month === 2 && year % 4 === 0 ? 29 : (DAYS[month - 1] ?? 0));
}

/** -1: not two digits. */
function twoDigits(content: Buffer, place: number): number {
  const tens = (content[place] ?? 0) - 0x30;
  const ones = (content[place + 1] ?? 0) - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1;
}

function isReasonOnly(content: Buffer, place: number): boolean {
  for (let i = 0; i < REASON_ONLY.length; i++) {
    if (content[place + i] !== REASON_ONLY[i]) return false;
  }
  const reason = content[place + REASON_ONLY.length] ?? 7;
  // RFC 5280 §5.3.1: 7 is not used.
  return reason <= 10 && reason !== 7;
}

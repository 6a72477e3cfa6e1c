import { type Element, universal } from './element.ts';
import { malformed } from './malformed.ts';
import type { Rules } from './reader.ts';
import { stringOctets } from './values.ts';

/** `YYMMDDhhmmssZ`, RFC 5280 §4.1.2.5.1. */
const UTC_DER = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
/** X.680 §47.3: seconds may be absent, and a difference to UTC may stand for Z. */
const UTC_BER = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:Z|([+-])(\d\d)(\d\d))$/;
/** `YYYYMMDDhhmmssZ`, RFC 5280 §4.1.2.5.2: no fraction. */
const GENERALIZED_DER = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
/** X.680 §46.3 without local time: a time that nobody can place is refused. */
const GENERALIZED_BER = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:[.,]\d{1,9})?(?:Z|([+-])(\d\d)(\d\d))$/;

/**
 * UTCTime or GeneralizedTime; whole seconds, fractions (BER only) are cut off.
 *
 * @throws SealgateError `asn1.malformed` for other types, other forms and days that do not exist
 */
export function timeValue(element: Element, rules: Rules): Date {
  if (element.tagClass !== 'universal') throw malformed(element.offset, 'a time was expected');
  const text = stringOctets(element, universal.octetString, rules).toString('latin1');
  let form: RegExp;
  if (element.tag === universal.utcTime) form = rules === 'DER' ? UTC_DER : UTC_BER;
  else if (element.tag === universal.generalizedTime)
    form = rules === 'DER' ? GENERALIZED_DER : GENERALIZED_BER;
  else throw malformed(element.offset, 'a time was expected');
  const match = form.exec(text);
  if (match === null) throw malformed(element.offset, 'a time in a form that is not allowed');
  const [, years, ...rest] = match;
  const [month = 0, day = 0, hour = 0, minute = 0, second = 0] = rest
    .slice(0, 5)
    .map((digits) => Number(digits ?? 0));
  let year = Number(years);
  // RFC 5280 §4.1.2.5.1: 50 to 99 are of the twentieth century.
  if (element.tag === universal.utcTime) year += year >= 50 ? 1900 : 2000;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const exists =
    date.getUTCFullYear() === year &&
    date.getUTCMonth() === month - 1 &&
    date.getUTCDate() === day &&
    date.getUTCHours() === hour &&
    date.getUTCMinutes() === minute &&
    date.getUTCSeconds() === second;
  if (!exists) throw malformed(element.offset, 'a time that does not exist');
  const [sign, hours, minutes] = rest.slice(5);
  if (sign !== undefined) {
    const difference = (Number(hours) * 60 + Number(minutes)) * 60_000;
    date.setTime(date.getTime() + (sign === '+' ? -difference : difference));
  }
  return date;
}

/** Whether the element is of the CHOICE Time. */
export function isTime(element: Element): boolean {
  return (
    element.tagClass === 'universal' &&
    (element.tag === universal.utcTime || element.tag === universal.generalizedTime)
  );
}

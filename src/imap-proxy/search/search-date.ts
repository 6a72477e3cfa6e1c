/** Days of a calendar, counted from 1970-01-01: what SEARCH compares dates by (RFC 9051 §6.4.4), whatever time and zone. */

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/** date-text = date-day "-" date-month "-" date-year (RFC 9051 §9). null: no such day. */
export function dayOf(text: string): number | null {
  const found = /^([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})$/.exec(text);
  return found === null ? null : day(Number(found[3]), found[2] ?? '', Number(found[1]));
}

/**
 * The day in the unfolded value of a Date field (RFC 5322 §3.3, with the obsolete years of §4.3), as it is written there: in its
 * author's zone. null: none can be read.
 */
export function dayOfDateField(value: string): number | null {
  const found =
    /^(?:\s*[A-Za-z]{3}\s*,)?\s*([0-9]{1,2})\s+([A-Za-z]{3})[A-Za-z]*\.?\s+([0-9]{2,4})(?:\s|$)/.exec(value);
  if (found === null) return null;
  const year = Number(found[3]);
  const digits = found[3]?.length ?? 0;
  const whole = digits === 4 ? year : digits === 2 && year < 50 ? year + 2_000 : year + 1_900;
  return day(whole, found[2] ?? '', Number(found[1]));
}

function day(year: number, month: string, dayOfMonth: number): number | null {
  const index = MONTHS.indexOf(month.toLowerCase());
  if (index === -1 || dayOfMonth < 1 || dayOfMonth > 31) return null;
  const date = new Date(0);
  date.setUTCFullYear(year, index, dayOfMonth);
  return date.getTime() / 86_400_000;
}

import type { Event } from './events.ts';
import { cut, withoutControls } from './printable.ts';

/**
 * One event as one line for people:
 * `2026-11-22T01:02:03.456Z WARN  mail.refused mail=… code=policy.no-rule reason="No rule says …"`.
 *
 * `value = plain-word / '"' text '"'`, with `"` and `\` escaped by `\`: a stranger's text cannot look like a field.
 */
export function textLine(time: Date, event: Event): string {
  let line = `${time.toISOString()} ${LEVELS[event.level]} ${event.event}`;
  for (const [key, value] of Object.entries(event)) {
    if (key !== 'event' && key !== 'level') line += ` ${key}=${valueText(value)}`;
  }
  return line;
}

const LEVELS = { debug: 'DEBUG', info: 'INFO ', warn: 'WARN ', error: 'ERROR' } as const;

function valueText(value: unknown): string {
  if (value === null || value === undefined) return '-';
  const text = cut(valueAsText(value));
  if (/^[A-Za-z0-9._:/@+<>,-]+$/.test(text) && text !== '-') return text;
  return `"${withoutControls(text.replace(/["\\]/g, '\\$&'))}"`;
}

/** What of a value may be printed: Secret says `[secret]` of itself, other objects say no more than that they are one. */
export function valueAsText(value: unknown): string {
  return value instanceof Uint8Array ? `[${value.length} octets]` : String(value);
}

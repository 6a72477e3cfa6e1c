import type { Event } from './events.ts';
import { cut, withoutControls } from './printable.ts';

/**
 * One event as one line for people:
 * `2026-11-22T01:02:03.456Z WARN  mail.refused mail=… code=policy.no-rule reason="No rule says …"`.
 *
 * `value = plain-word / '"' text '"'`, with `"` and `\` escaped by `\`: a stranger's text cannot look like a field.
 */
export function textLine(time: Date, event: Event): string {
  const { event: name, level, ...fields } = event;
  const words = Object.entries(fields).map(([key, value]) => `${key}=${valueText(value)}`);
  return [time.toISOString(), level.toUpperCase().padEnd(5), name, ...words].join(' ');
}

function valueText(value: unknown): string {
  if (value === null || value === undefined) return '-';
  const text = cut(String(value));
  if (/^[A-Za-z0-9._:/@+<>,-]+$/.test(text) && text !== '-') return text;
  return `"${withoutControls(text.replace(/["\\]/g, '\\$&'))}"`;
}

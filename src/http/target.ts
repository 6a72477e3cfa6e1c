import { limits } from '../limits.ts';
import type { Fields } from './message.ts';

export type Target = {
  /** Decoded; never empty, `.` or `..`, and without slashes and control characters. */
  segments: readonly string[];
  query: Fields;
};

/**
 * The target of a request in origin form (RFC 9112 §3.2.1), which is all that an origin server is asked in. One spelling means one
 * place: what another reader (a proxy that guards some paths) might take for another one is refused.
 *
 * @returns null where it is none
 */
export function readTarget(target: string): Target | null {
  if (!/^\/[\x21-\x7e]*$/.test(target) || /[#\\"<>^`{|}]/.test(target)) return null;
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? [] : readFields(target.slice(mark + 1));
  if (query === null) return null;
  if (path === '/') return { segments: [], query };
  const segments = path.slice(1).split('/').map(readSegment);
  return segments.every((segment) => segment !== null) ? { segments, query } : null;
}

/** `application/x-www-form-urlencoded`, strictly, in UTF-8. Null where it is none or has too many fields. */
export function readFields(text: string): Fields | null {
  if (text === '') return [];
  const pairs = text.split('&', limits.http.fields + 1);
  if (pairs.length > limits.http.fields) return null;
  const fields: (readonly [string, string])[] = [];
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const name = decoded((equals === -1 ? pair : pair.slice(0, equals)).replaceAll('+', ' '));
    const value = equals === -1 ? '' : decoded(pair.slice(equals + 1).replaceAll('+', ' '));
    if (name === null || value === null) return null;
    fields.push([name, value]);
  }
  return fields;
}

function readSegment(written: string): string | null {
  const segment = decoded(written);
  if (segment === null || segment === '' || segment === '.' || segment === '..') return null;
  return /[/\\\p{Cc}]/u.test(segment) ? null : segment;
}

/** Null where a percent sign begins no octet, or the octets are no UTF-8. */
function decoded(text: string): string | null {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

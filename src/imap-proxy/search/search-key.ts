import type { Written } from '../written-command.ts';
import type { NumberSet } from './number-set.ts';

/**
 * A search criterion (RFC 9051 §6.4.4, search-key). Those whose answer may be another one for a view than for what is stored
 * are kept by their meaning, as `shown`; all others only as they are written.
 */
export type SearchKey =
  | { kind: 'and'; keys: readonly SearchKey[] }
  | { kind: 'or'; one: SearchKey; other: SearchKey }
  | { kind: 'not'; key: SearchKey }
  /** What only the mail server answers. */
  | { kind: 'stored'; written: Written }
  /** What a reader sees decides. */
  | { kind: 'shown'; test: ShownTest; written: Written }
  | { kind: 'uids'; uids: NumberSet }
  | { kind: 'all' }
  | { kind: 'none' };

export type ShownTest =
  | { on: 'body'; words: Buffer }
  /** Header or body. */
  | { on: 'text'; words: Buffer }
  /** `field` in lower case. */
  | { on: 'header'; field: string; words: Buffer }
  /** By the Date field, whatever its time and zone; `day` counts from 1970-01-01. */
  | { on: 'date'; relation: 'before' | 'on' | 'since'; day: number };

export type ShownLeaf = Extract<SearchKey, { kind: 'shown' }>;

export const ALL: SearchKey = { kind: 'all' };
export const NONE: SearchKey = { kind: 'none' };

/**
 * The same criterion with every `shown` leaf replaced, and without what its constants decide: `none` and `all` stand nowhere
 * but alone, and sets of UIDs that must all hold are one.
 *
 * @param replace `negated`: whether the criterion is met where the leaf is not
 */
export function rewritten(
  key: SearchKey,
  replace: (leaf: ShownLeaf, negated: boolean) => SearchKey,
  negated = false,
): SearchKey {
  switch (key.kind) {
    case 'and':
      return allOf(key.keys.map((each) => rewritten(each, replace, negated)));
    case 'or':
      return anyOf(rewritten(key.one, replace, negated), rewritten(key.other, replace, negated));
    case 'not':
      return not(rewritten(key.key, replace, !negated));
    case 'shown':
      return settled(replace(key, negated));
    case 'uids':
      return settled(key);
    case 'stored':
    case 'all':
    case 'none':
      return key;
  }
}

/** All of them hold. */
export function allOf(keys: readonly SearchKey[]): SearchKey {
  const kept: SearchKey[] = [];
  let uids: NumberSet | null = null;
  for (const each of keys.flatMap((key) => (key.kind === 'and' ? key.keys : [key]))) {
    if (each.kind === 'none') return NONE;
    if (each.kind === 'uids') uids = uids === null ? each.uids : uids.and(each.uids);
    else if (each.kind !== 'all') kept.push(each);
  }
  if (uids?.isEmpty === true) return NONE;
  // In front, so that a server looks at no other message.
  if (uids !== null) kept.unshift({ kind: 'uids', uids });
  const [only] = kept;
  if (only === undefined) return ALL;
  return kept.length === 1 ? only : { kind: 'and', keys: kept };
}

export function anyOf(one: SearchKey, other: SearchKey): SearchKey {
  if (one.kind === 'all' || other.kind === 'none') return one;
  if (other.kind === 'all' || one.kind === 'none') return other;
  if (one.kind === 'uids' && other.kind === 'uids') return { kind: 'uids', uids: one.uids.or(other.uids) };
  return { kind: 'or', one, other };
}

export function not(key: SearchKey): SearchKey {
  switch (key.kind) {
    case 'all':
      return NONE;
    case 'none':
      return ALL;
    case 'not':
      return key.key;
    default:
      return { kind: 'not', key };
  }
}

/** The `shown` leaves of a criterion, from left to right. */
export function shownLeaves(key: SearchKey): ShownLeaf[] {
  switch (key.kind) {
    case 'and':
      return key.keys.flatMap(shownLeaves);
    case 'or':
      return [...shownLeaves(key.one), ...shownLeaves(key.other)];
    case 'not':
      return shownLeaves(key.key);
    case 'shown':
      return [key];
    default:
      return [];
  }
}

/** As it goes to the mail server; several criteria that must all hold follow each other without parentheses. */
export function writeKey(key: SearchKey): Written {
  return key.kind === 'and' ? joined(key.keys.map(writeOne)) : writeOne(key);
}

function writeOne(key: SearchKey): Written {
  switch (key.kind) {
    case 'and':
      return ['(', ...joined(key.keys.map(writeOne)), ')'];
    case 'or':
      return ['OR ', ...joined([writeOne(key.one), writeOne(key.other)])];
    case 'not':
      return ['NOT ', ...writeOne(key.key)];
    case 'stored':
    case 'shown':
      return key.written;
    case 'uids':
      return [`UID ${key.uids}`];
    case 'all':
      return ['ALL'];
    case 'none':
      return ['NOT ALL'];
  }
}

/** Octets of text when written, without literals. */
export function textLength(written: Written): number {
  return written.reduce((sum, each) => sum + (typeof each === 'string' ? each.length : 0), 0);
}

function joined(all: readonly Written[]): Written {
  return all.flatMap((each, index) => (index === 0 ? each : [' ', ...each]));
}

function settled(key: SearchKey): SearchKey {
  return key.kind === 'uids' && key.uids.isEmpty ? NONE : key;
}

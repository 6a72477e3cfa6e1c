import { folded } from '../../pki/dn.ts';
import { parseMailbox } from '../../pki/mailbox.ts';
import { attributeNamed, CERTIFICATES, type Entry } from './entry.ts';
import type { Filter, Substrings } from './filter.ts';

/**
 * Whether a filter holds of an entry (RFC 4511 §4.5.1.7), and whether it names that entry: whoever asks must know part of a name, so that
 * "everybody" is no question. Pure.
 */
export type Match = {
  /** null: undefined, as what is said of unknown attributes. */
  holds: boolean | null;
  /** An assertion that holds of this entry, and of few others, and without which the filter would not hold. */
  names: boolean;
};

/** Shortest text that names somebody; null: only whole addresses do. */
export type Naming = { letters: number | null };

/** A filter in the form in which many entries are compared with it: `names` says what of it names somebody. */
export type PreparedFilter =
  | { kind: 'and' | 'or'; filters: readonly PreparedFilter[] }
  | { kind: 'not'; filter: PreparedFilter }
  | { kind: 'equal'; attribute: string; values: readonly string[]; names: boolean }
  | { kind: 'substrings'; attribute: string; pieces: Substrings; names: readonly string[] }
  | { kind: 'present'; attribute: string }
  | { kind: 'undefined' };

/** Once for each search. */
export function prepared(filter: Filter, naming: Naming): PreparedFilter {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return { kind: filter.kind, filters: filter.filters.map((each) => prepared(each, naming)) };
    case 'not':
      return { kind: 'not', filter: prepared(filter.filter, naming) };
    case 'unsupported':
      return { kind: 'undefined' };
    default: {
      const attribute = attributeNamed(filter.attribute);
      if (attribute === null) return { kind: 'undefined' };
      if (filter.kind === 'present') return { kind: 'present', attribute };
      // Certificates are compared by nobody.
      if (attribute === CERTIFICATES) return { kind: 'undefined' };
      return filter.kind === 'equal'
        ? preparedEquality(attribute, filter.value, naming)
        : preparedSubstrings(attribute, filter.pieces, naming);
    }
  }
}

function preparedEquality(attribute: string, value: string | null, { letters }: Naming): PreparedFilter {
  if (value === null) return { kind: 'undefined' };
  const values = [folded(value).trim()];
  if (attribute === 'mail') {
    // An internationalised domain may be written in either form.
    const mailbox = parseMailbox(value);
    if (mailbox !== null) values.push(folded(`${mailbox.localPart}@${mailbox.domain}`));
  }
  const names = attribute === 'mail' || (letters !== null && attribute !== 'objectClass');
  return { kind: 'equal', attribute, values, names };
}

function preparedSubstrings(attribute: string, written: Substrings | null, naming: Naming): PreparedFilter {
  if (written === null) return { kind: 'undefined' };
  const { initial, any, final } = written;
  const pieces: Substrings = {
    initial: initial === null ? null : folded(initial).trimStart(),
    any: any.map(folded),
    final: final === null ? null : folded(final).trimEnd(),
  };
  return { kind: 'substrings', attribute, pieces, names: namingPieces(attribute, pieces, naming) };
}

/** Pieces that are long enough. */
function namingPieces(attribute: string, pieces: Substrings, { letters }: Naming): string[] {
  if (letters === null || attribute === 'objectClass') return [];
  return [pieces.initial, ...pieces.any, pieces.final]
    .filter((piece) => piece !== null)
    .map(withoutDomain)
    .filter((piece) => (piece.match(/[\p{L}\p{N}]/gu)?.length ?? 0) >= letters);
}

export function match(filter: PreparedFilter, entry: Entry): Match {
  switch (filter.kind) {
    case 'undefined':
      return { holds: null, names: false };
    case 'present':
      return { holds: filter.attribute === CERTIFICATES || entry.values.has(filter.attribute), names: false };
    case 'not': {
      const { holds } = match(filter.filter, entry);
      return { holds: holds === null ? null : !holds, names: false };
    }
    case 'and':
    case 'or':
      return combined(filter, entry);
    case 'equal': {
      const values = entry.compared.get(filter.attribute) ?? [];
      const holds = values.some((value) => filter.values.includes(value));
      return { holds, names: holds && filter.names };
    }
    case 'substrings': {
      const { pieces, names } = filter;
      const found = (entry.compared.get(filter.attribute) ?? []).find((value) => fits(value, pieces));
      if (found === undefined) return { holds: false, names: false };
      const named = withoutDomain(found);
      return { holds: true, names: names.some((piece) => named.includes(piece)) };
    }
  }
}

/** Of an address what stands before the @, since everybody has the domain. Names are often addresses too. */
function withoutDomain(text: string): string {
  return text.replace(/@[^@]*$/, '');
}

/** RFC 4511 §4.5.1.7: false before undefined for `and`, true before undefined for `or`. Empty ones are true and false (RFC 4526). */
function combined({ kind, filters }: Extract<PreparedFilter, { kind: 'and' | 'or' }>, entry: Entry): Match {
  const decisive = kind === 'or';
  let holds: boolean | null = !decisive;
  let names = false;
  for (const filter of filters) {
    const each = match(filter, entry);
    if (each.holds === decisive) {
      holds = decisive;
      // Of alternatives that hold one that names is enough; it has to be looked for.
      if (kind === 'and' || each.names) return { holds, names: each.names };
    } else if (each.holds === null && holds === !decisive) holds = null;
    names ||= kind === 'and' && each.names;
  }
  return { holds, names: holds === true && names };
}

/**
 * Whether a filter can name anybody at all, whoever there is: where it cannot, its client is told so, and the answer must not tell what
 * the filter would have found.
 */
export function canName(filter: PreparedFilter): boolean {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return filter.filters.some(canName);
    case 'equal':
      return filter.names;
    case 'substrings':
      return filter.names.length > 0;
    default:
      return false;
  }
}

/** How many names a filter tries, each once in however many attributes it is looked for. */
export function namesTried(filter: PreparedFilter): number {
  return new Set(textsTried(filter)).size;
}

function textsTried(filter: PreparedFilter): readonly string[] {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return filter.filters.flatMap(textsTried);
    case 'equal':
      return filter.names ? filter.values.slice(0, 1) : [];
    case 'substrings':
      return filter.names.length > 0 ? [filter.names.join('*')] : [];
    default:
      return [];
  }
}

/**
 * The addresses, folded, of which one is that of every entry of which the filter holds; null: it does not say so. What another gateway
 * asks is found by these.
 */
export function addressesIn(filter: PreparedFilter): readonly string[] | null {
  switch (filter.kind) {
    case 'equal':
      return filter.attribute === 'mail' ? filter.values : null;
    case 'and':
      return filter.filters.map(addressesIn).find((found) => found !== null) ?? null;
    case 'or': {
      const all = filter.filters.map(addressesIn);
      return all.includes(null) ? null : all.flatMap((found) => found ?? []);
    }
    default:
      return null;
  }
}

/** RFC 4517 §4.2.13: the pieces one after another. */
function fits(value: string, { initial, any, final }: Substrings): boolean {
  if (initial !== null && !value.startsWith(initial)) return false;
  let position = initial?.length ?? 0;
  for (const piece of any) {
    const at = value.indexOf(piece, position);
    if (at < 0) return false;
    position = at + piece.length;
  }
  return final === null || (value.length - final.length >= position && value.endsWith(final));
}

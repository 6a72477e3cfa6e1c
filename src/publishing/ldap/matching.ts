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

/** A filter in the form in which many entries are compared with it. */
export type PreparedFilter =
  | { kind: 'and' | 'or'; filters: readonly PreparedFilter[] }
  | { kind: 'not'; filter: PreparedFilter }
  | { kind: 'equal'; attribute: string; values: readonly string[] }
  | { kind: 'substrings'; attribute: string; pieces: Substrings }
  | { kind: 'present'; attribute: string }
  | { kind: 'undefined' };

/** Once for each search. */
export function prepared(filter: Filter): PreparedFilter {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return { kind: filter.kind, filters: filter.filters.map(prepared) };
    case 'not':
      return { kind: 'not', filter: prepared(filter.filter) };
    case 'unsupported':
      return { kind: 'undefined' };
    default: {
      const attribute = attributeNamed(filter.attribute);
      if (attribute === null) return { kind: 'undefined' };
      if (filter.kind === 'present') return { kind: 'present', attribute };
      // Certificates are compared by nobody.
      if (attribute === CERTIFICATES) return { kind: 'undefined' };
      return filter.kind === 'equal'
        ? preparedEquality(attribute, filter.value)
        : preparedSubstrings(attribute, filter.pieces);
    }
  }
}

function preparedEquality(attribute: string, value: string | null): PreparedFilter {
  if (value === null) return { kind: 'undefined' };
  const values = [folded(value).trim()];
  if (attribute === 'mail') {
    // An internationalised domain may be written in either form.
    const mailbox = parseMailbox(value);
    if (mailbox !== null) values.push(folded(`${mailbox.localPart}@${mailbox.domain}`));
  }
  return { kind: 'equal', attribute, values };
}

function preparedSubstrings(attribute: string, pieces: Substrings | null): PreparedFilter {
  if (pieces === null) return { kind: 'undefined' };
  const { initial, any, final } = pieces;
  return {
    ...{ kind: 'substrings', attribute },
    pieces: {
      initial: initial === null ? null : folded(initial).trimStart(),
      any: any.map(folded),
      final: final === null ? null : folded(final).trimEnd(),
    },
  };
}

export function match(filter: PreparedFilter, entry: Entry, naming: Naming): Match {
  switch (filter.kind) {
    case 'undefined':
      return { holds: null, names: false };
    case 'present':
      return { holds: filter.attribute === CERTIFICATES || entry.values.has(filter.attribute), names: false };
    case 'not': {
      const { holds } = match(filter.filter, entry, naming);
      return { holds: holds === null ? null : !holds, names: false };
    }
    case 'and':
    case 'or':
      return combined(filter, entry, naming);
    case 'equal': {
      const values = entry.compared.get(filter.attribute) ?? [];
      const holds = values.some((value) => filter.values.includes(value));
      return { holds, names: holds && equalityNames(filter.attribute, naming) };
    }
    case 'substrings': {
      const { attribute, pieces } = filter;
      const found = (entry.compared.get(attribute) ?? []).find((value) => fits(value, pieces));
      if (found === undefined) return { holds: false, names: false };
      const named = attribute === 'mail' ? found.slice(0, found.lastIndexOf('@')) : found;
      return { holds: true, names: namingPieces(filter, naming).some((piece) => named.includes(piece)) };
    }
  }
}

/** RFC 4511 §4.5.1.7: false before undefined for `and`, true before undefined for `or`. Empty ones are true and false (RFC 4526). */
function combined(
  { kind, filters }: Extract<PreparedFilter, { kind: 'and' | 'or' }>,
  entry: Entry,
  naming: Naming,
): Match {
  const decisive = kind === 'or';
  let holds: boolean | null = !decisive;
  let names = false;
  for (const filter of filters) {
    const each = match(filter, entry, naming);
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
export function canName(filter: PreparedFilter, naming: Naming): boolean {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return filter.filters.some((each) => canName(each, naming));
    case 'equal':
      return equalityNames(filter.attribute, naming);
    case 'substrings':
      return namingPieces(filter, naming).length > 0;
    default:
      return false;
  }
}

function equalityNames(attribute: string, { letters }: Naming): boolean {
  if (attribute === 'mail') return true;
  return letters !== null && attribute !== 'objectClass';
}

/** Pieces that are long enough; of an address what stands before the @, since everybody has the domain. */
function namingPieces(
  { attribute, pieces }: Extract<PreparedFilter, { kind: 'substrings' }>,
  { letters }: Naming,
): string[] {
  if (letters === null || attribute === 'objectClass') return [];
  return [pieces.initial, ...pieces.any, pieces.final]
    .filter((piece) => piece !== null)
    .map((piece) => (attribute === 'mail' ? piece.replace(/@[^@]*$/, '') : piece))
    .filter((piece) => lettersOf(piece) >= letters);
}

function lettersOf(text: string): number {
  return text.match(/[\p{L}\p{N}]/gu)?.length ?? 0;
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

import type { Piece } from './client-command.ts';

/** What a client says of itself (RFC 2971 §3.1): fields in order; null: NIL. */
export type ClientId = readonly (readonly [field: string, value: string | null])[];

/** RFC 2971 §3.3: fields, octets of a field's name, octets of its value. */
const FIELDS = 30;
const NAME_OCTETS = 30;
const VALUE_OCTETS = 1_024;

/**
 * Reads the argument of ID; null: not in the grammar.
 *
 *   id = "ID" SP ("(" [string SP nstring *(SP string SP nstring)] ")" / nil)
 */
export function readClientId(pieces: readonly Piece[]): ClientId | null {
  const [only] = pieces;
  if (pieces.length === 1 && only?.kind === 'text' && /^NIL$/i.test(only.text)) return [];
  const tokens = tokensOf(pieces);
  if (tokens === null) return null;
  const fields: [string, string | null][] = [];
  for (let i = 0; i < tokens.length; i += 2) {
    const [name, value] = [tokens[i], tokens[i + 1]];
    if (typeof name !== 'string' || value === undefined) return null;
    if (name.length > NAME_OCTETS || (value?.length ?? 0) > VALUE_OCTETS) return null;
    fields.push([name, value]);
  }
  return fields.length > FIELDS ? null : fields;
}

/** The strings between the parentheses, one character per octet; NIL is null. */
function tokensOf(pieces: readonly Piece[]): (string | null)[] | null {
  const tokens: (string | null)[] = [];
  let blank = true;
  let state: 'before' | 'inside' | 'after' = 'before';
  for (const piece of pieces) {
    if (piece.kind === 'literal') {
      if (state !== 'inside' || !blank) return null;
      tokens.push(piece.octets.toString('latin1'));
      blank = false;
      continue;
    }
    let rest = piece.text;
    while (rest !== '') {
      const token = /^(?:\(| |\)|"((?:[^"\\\r\n\0]|\\["\\])*)"|NIL)/i.exec(rest);
      if (token === null || state === 'after') return null;
      const [all, quoted] = token;
      rest = rest.slice(all.length);
      if (all === '(') {
        if (state !== 'before') return null;
        state = 'inside';
      } else if (state === 'before') {
        return null;
      } else if (all === ')') {
        state = 'after';
      } else if (all === ' ') {
        // Some clients put one behind the parenthesis, too.
        if (blank && tokens.length > 0) return null;
        blank = true;
      } else {
        if (!blank) return null;
        tokens.push(quoted === undefined ? null : quoted.replace(/\\(["\\])/g, '$1'));
        blank = false;
      }
    }
  }
  return state === 'after' ? tokens : null;
}

/**
 * Fields by which proxies tell a server whose connection theirs is (Dovecot: `login_trusted_networks`). From a client they would be
 * believed as the gateway's.
 */
const PROXY_FIELD = /^x-(?:originating|connected|proxy|session|forward|client)/i;

/**
 * The argument of an ID command that passes a client's words on: without what a client must not say, and without what cannot be said in
 * a quoted string.
 */
export function idArgument(id: ClientId): string {
  const fields = id.flatMap(([name, value]) =>
    PROXY_FIELD.test(name) || !isPlain(name) || !isPlain(value ?? '')
      ? []
      : [`${quoted(name)} ${value === null ? 'NIL' : quoted(value)}`],
  );
  return fields.length === 0 ? 'NIL' : `(${fields.join(' ')})`;
}

function isPlain(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

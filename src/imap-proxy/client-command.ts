/**
 * The beginning of a client's command (RFC 9051 §9):
 *
 *   command = tag SP (command-any / …) CRLF
 *   tag     = 1*<any ASTRING-CHAR except "+">
 */
export type CommandStart = {
  tag: string;
  /** Upper case; `UID FETCH` is one name. */
  name: string;
  /** After the name and its blank, without the line end; latin1. */
  argument: string;
};

/** null: no tag that could be answered. An empty `name`: nothing after the tag. */
export function readCommandStart(line: Buffer): CommandStart | null {
  const text = line.toString('latin1', 0, line.length - 2);
  const found = /^([!#$&',-[\]^-z|}~]{1,256})(?: ([A-Za-z0-9._-]{1,64})(?: (.*))?)?$/s.exec(text);
  const tag = found?.[1];
  if (found === null || tag === undefined) return tagOnly(text);
  const name = (found[2] ?? '').toUpperCase();
  const argument = found[3] ?? '';
  if (name !== 'UID') return { tag, name, argument };
  const second = /^([A-Za-z0-9._-]{1,64})(?: (.*))?$/s.exec(argument);
  return second === null
    ? { tag, name: '', argument: '' }
    : { tag, name: `UID ${(second[1] ?? '').toUpperCase()}`, argument: second[2] ?? '' };
}

/** A line that is no command but has a tag to answer `BAD` to. */
function tagOnly(text: string): CommandStart | null {
  const tag = /^([!#$&',-[\]^-z|}~]{1,256}) /.exec(text)?.[1];
  return tag === undefined ? null : { tag, name: '', argument: '' };
}

/** One argument: an atom or string as its octets, or anything in parentheses as text. */
export type Argument = { kind: 'string'; octets: Buffer } | { kind: 'list'; text: string };

/** A command's argument pieces: text between literals, and the literals themselves. */
export type Piece = { kind: 'text'; text: string } | { kind: 'literal'; octets: Buffer };

/** Reads `astring *(SP astring)`; null: not in the grammar. Lists are kept as text and hold no literal. */
export function readArguments(pieces: readonly Piece[]): Argument[] | null {
  const found: Argument[] = [];
  for (const piece of pieces) {
    if (piece.kind === 'literal') {
      found.push({ kind: 'string', octets: piece.octets });
      continue;
    }
    let rest = piece.text;
    while (rest !== '') {
      const quoted = /^ ?"((?:[^"\\\r\n\0]|\\["\\])*)"(?= |$)/.exec(rest);
      const atom = /^ ?([^\x00-\x20(){%*"\\\x7f]+)(?= |$)/.exec(rest);
      const list = /^ ?(?=\()/.test(rest) ? readList(rest) : null;
      if (list !== null) {
        found.push({ kind: 'list', text: list.trimStart() });
        rest = rest.slice(list.length);
        continue;
      }
      const any = quoted ?? atom;
      if (any === null) {
        // The blank before a literal.
        if (rest === ' ') break;
        return null;
      }
      found.push({ kind: 'string', octets: unquote(any[1] ?? '', any === quoted) });
      rest = rest.slice(any[0].length);
    }
  }
  return found;
}

/** The list that text begins with, a blank before it and lists inside it included; null: it does not end, or more is joined to it. */
function readList(text: string): string | null {
  const tokens = /"(?:[^"\\]|\\["\\])*"|[()"]/g;
  let depth = 0;
  for (let token = tokens.exec(text); token !== null; token = tokens.exec(text)) {
    if (token[0] === '"') return null;
    if (token[0] === '(') depth++;
    if (token[0] === ')' && --depth === 0) {
      const end = tokens.lastIndex;
      return end === text.length || text[end] === ' ' ? text.slice(0, end) : null;
    }
  }
  return null;
}

function unquote(text: string, quoted: boolean): Buffer {
  return Buffer.from(quoted ? text.replace(/\\(["\\])/g, '$1') : text, 'latin1');
}

import { expect, test } from 'vitest';
import type { Piece } from '../../src/imap-proxy/client-command.ts';
import { idArgument, readClientId } from '../../src/imap-proxy/client-id.ts';

const text = (value: string): Piece => ({ kind: 'text', text: value });
const literal = (value: string): Piece => ({ kind: 'literal', octets: Buffer.from(value) });

test.each<[string, Piece[], string | null]>([
  ['nothing', [text('nil')], 'NIL'],
  ['an empty list', [text('()')], 'NIL'],
  ['strings', [text('("name" "a \\"b\\" \\\\c" "version" NIL)')], '("name" "a \\"b\\" \\\\c" "version" NIL)'],
  [
    'literals',
    [text('("name" '), literal('Out"look'), text(' '), literal('version'), text(' "1")')],
    '("name" "Out\\"look" "version" "1")',
  ],
  ['blanks at the parentheses', [text('( "name" "a" )')], '("name" "a")'],
  [
    'attack: whose connection it is',
    [text('("x-originating-ip" "192.0.2.1" "X-Session-ID" "a" "name" "b")')],
    '("name" "b")',
  ],
  ['attack: the same in a literal', [text('('), literal('x-proxy-ttl'), text(' "9")')], 'NIL'],
  ['attack: a line end in a literal', [text('("name" '), literal('a"\r\nx LOGOUT\r\n'), text(')')], 'NIL'],
  ['letters beyond ASCII', [text('("name" "\xe4")')], 'NIL'],
  ['a field without a value', [text('("name")')], null],
  ['NIL for a name', [text('(NIL "x")')], null],
  ['no blank', [text('("name""a")')], null],
  ['a list in the list', [text('(("name" "a"))')], null],
  ['something behind it', [text('("name" "a") x')], null],
  ['no end', [text('("name" "a"')], null],
  ['an atom', [text('(name "a")')], null],
  ['31 fields', [text(`(${Array.from({ length: 31 }, (_, i) => `"f${i}" "v"`).join(' ')})`)], null],
  ['a name of 31 octets', [text(`("${'n'.repeat(31)}" "v")`)], null],
  ['a value of 1025 octets', [text('("n" '), literal('v'.repeat(1025)), text(')')], null],
])('ID with %s', (_what, pieces, expected) => {
  const id = readClientId(pieces);
  expect(id === null ? null : idArgument(id)).toBe(expected);
});

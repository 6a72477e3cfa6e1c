import type { Piece } from '../../../src/imap-proxy/client-command.ts';
import { rewritten, shownLeaves, writeKey } from '../../../src/imap-proxy/search/search-key.ts';
import { readSearchProgram } from '../../../src/imap-proxy/search/search-program.ts';
import { readSearchResponse } from '../../../src/imap-proxy/search/search-response.ts';
import { limits } from '../../../src/limits.ts';
import { folded, searchTextOf } from '../../../src/reading/search-text.ts';
import { type FuzzTarget, holds } from '../target.ts';

const text = (...lines: string[]): Buffer[] => lines.map((line) => Buffer.from(line, 'latin1'));

/** `{` and `}` around what is a literal, so that a mutated line has some. */
function piecesOf(input: Buffer): Piece[] {
  return input
    .toString('latin1')
    .split(/\{([^{}]*)\}/)
    .map((part, index) =>
      index % 2 === 0
        ? { kind: 'text', text: part }
        : { kind: 'literal', octets: Buffer.from(part, 'latin1') },
    );
}

export const searchTargets: readonly FuzzTarget[] = [
  {
    name: 'imap-search-program',
    form: 'octets',
    allowed: [],
    dictionary: [
      ...[
        'OR ',
        'NOT ',
        '(',
        ')',
        ' ',
        'ALL',
        'BODY x',
        'TEXT "y"',
        'HEADER a b',
        'UID 1:*',
        '$',
        '1,2:3',
        '{x}',
        '"',
      ],
      ...[
        'RETURN (MIN MAX SAVE PARTIAL -1:-5) ',
        'CHARSET utf-8 ',
        'MODSEQ "/flags/x" all 5',
        'SINCE 1-Jan-2026',
        '\\',
        '\0',
      ],
    ],
    prepare: () => ({
      seeds: text(
        'RETURN (COUNT PARTIAL 1:5) CHARSET UTF-8 OR (FROM "a" NOT BODY {b c}) HEADER Content-Type "x\\"y"',
        'UID 1:5,7:* SENTSINCE "1-Feb-2026" MODSEQ 7 KEYWORD $Junk LARGER 5 OLDER 60',
        '(REVERSE DATE) UTF-8 TEXT {x} UNSEEN',
        'REFERENCES US-ASCII BODY x',
      ),
      run(input) {
        const pieces = piecesOf(input);
        return (['SEARCH', 'SORT', 'THREAD'] as const).map((name) => {
          const program = readSearchProgram(name, pieces);
          if (program === null) return null;
          const written = writeKey(program.key);
          for (const each of written) {
            holds(typeof each !== 'string' || !/[\r\n\0]/.test(each), 'what is written is one line');
          }
          const again = readSearchProgram('SEARCH', joined(written));
          holds(again !== null, 'what is written is read');
          holds(
            JSON.stringify(writeKey(again.key)) === JSON.stringify(written),
            'what is written means the same again',
          );
          const bare = rewritten(program.key, () => ({ kind: 'none' }));
          holds(shownLeaves(bare).length === 0, 'every leaf is replaced');
          return [program, bare];
        });
      },
    }),
  },
  {
    name: 'imap-search-response',
    form: 'octets',
    allowed: [],
    dictionary: [
      '* SEARCH',
      '* ESEARCH',
      ' (TAG "a")',
      ' UID',
      ' ALL 1:5',
      ' MODSEQ 5',
      ' (MODSEQ 5)',
      ' 4294967295',
      ',',
      ':',
    ],
    prepare: () => ({
      seeds: text('* SEARCH 1 2 5 4 (MODSEQ 9)', '* ESEARCH (TAG "a1") UID MIN 1 ALL 1:5,9 COUNT 6 MODSEQ 8'),
      run(input) {
        const found = readSearchResponse(Buffer.concat([input, Buffer.from('\r\n')]));
        if (found !== null) holds(found.numbers.size <= limits.imap.searchResults, 'there is an end');
        return found === null ? null : [found.numbers.toString(), String(found.modSeq)];
      },
    }),
  },
  {
    name: 'reading-search-text',
    form: 'octets',
    allowed: [],
    budget: { ms: 100, usPerOctet: 3 },
    dictionary: [
      '<script>',
      '</script>',
      '<!--',
      '<p ',
      '&uuml;',
      '&#xFC;',
      '=\r\n',
      '=FC',
      '--b\r\n',
      '\ufdfa',
      '=?utf-8?Q?=C3?=',
      '\u0315\u0300',
    ],
    prepare: () => ({
      seeds: text(
        'Subject: =?utf-8?B?w7w=?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n' +
          'Content-Transfer-Encoding: quoted-printable\r\n\r\n<p title=3D"x">a&nbsp;b</p>\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nTo: x\r\n\r\ny\r\n--b--\r\n',
      ),
      async run(input) {
        const found = await searchTextOf(input);
        holds(found.body.length <= limits.searchText.characters, 'there is an end to what is kept');
        holds(folded(found.body).length <= found.body.length, 'it is folded already');
        return found;
      },
    }),
  },
];

function joined(written: readonly (string | Buffer)[]): Piece[] {
  const pieces: Piece[] = [];
  for (const each of written) {
    const last = pieces.at(-1);
    if (typeof each !== 'string') {
      if (last?.kind !== 'text') pieces.push({ kind: 'text', text: '' });
      pieces.push({ kind: 'literal', octets: each });
    } else if (last?.kind === 'text') pieces[pieces.length - 1] = { kind: 'text', text: last.text + each };
    else pieces.push({ kind: 'text', text: each });
  }
  return pieces;
}

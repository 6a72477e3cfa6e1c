import { describe, expect, test } from 'vitest';
import type { Piece } from '../../../src/imap-proxy/client-command.ts';
import { NumberSet } from '../../../src/imap-proxy/search/number-set.ts';
import { type Found, partOf, savedOf, writeAnswer } from '../../../src/imap-proxy/search/return-options.ts';
import { shownLeaves, writeKey } from '../../../src/imap-proxy/search/search-key.ts';
import { readSearchProgram, type SearchProgram } from '../../../src/imap-proxy/search/search-program.ts';
import { readSearchResponse } from '../../../src/imap-proxy/search/search-response.ts';

function read(text: string, name: 'SEARCH' | 'SORT' | 'THREAD' = 'SEARCH'): SearchProgram | null {
  return readSearchProgram(name, [{ kind: 'text', text }]);
}

function written(text: string): string | null {
  const program = read(text);
  return program === null ? null : writeKey(program.key).join('');
}

describe('search programs', () => {
  test.each([
    'UNSEEN',
    'BODY "a \\"quoted\\" word"',
    'OR FROM alice (SUBJECT x NOT DELETED)',
    'HEADER Content-Type pkcs7 SINCE 1-Feb-2026 SENTON "01-Feb-2026"',
    '1:*,5 UID 7,9:* LARGER 100 YOUNGER 3600 KEYWORD $Junk',
    '$ UID $',
    'MODSEQ "/flags/\\\\draft" all 620162338',
    'MODSEQ 5 EMAILID M1 THREADID T1 SAVEDSINCE 1-Feb-2026 SAVEDATESUPPORTED',
    'X-GM-RAW "has:attachment in:unread" X-GM-LABELS foo X-GM-MSGID 123',
  ])('%s is read and written', (text) => {
    expect(written(text)).toBe(text);
  });

  test('what decides nothing is left out, and parentheses that change nothing', () => {
    expect(written('ALL (SEEN (FLAGGED))')).toBe('SEEN FLAGGED');
    expect(written('OR ALL BODY x')).toBe('ALL');
    expect(written('NOT NOT BODY x')).toBe('BODY x');
    expect(written('OR (SEEN BODY x) (ALL)')).toBe('ALL');
  });

  test('literals stay literals', () => {
    const pieces: Piece[] = [
      { kind: 'text', text: 'RETURN (COUNT) CHARSET UTF-8 OR BODY ' },
      { kind: 'literal', octets: Buffer.from('grün') },
      { kind: 'text', text: ' (HEADER ' },
      { kind: 'literal', octets: Buffer.from('X-A') },
      { kind: 'text', text: ' ""' },
      { kind: 'text', text: ')' },
    ];
    expect(readSearchProgram('SEARCH', pieces)).toBeNull();
    const program = readSearchProgram('SEARCH', [...pieces.slice(0, 4), { kind: 'text', text: ' "")' }]);
    expect(program?.charset?.octets.toString()).toBe('UTF-8');
    expect(program?.returns).toMatchObject({ count: true, all: false });
    expect(program === null ? [] : writeKey(program.key)).toEqual([
      ...['OR ', 'BODY ', Buffer.from('grün'), ' ', 'HEADER ', Buffer.from('X-A'), ' ', '""'],
    ]);
    expect(shownLeaves(program?.key ?? { kind: 'all' })).toHaveLength(2);
  });

  test.each([
    ...[
      '',
      ' ',
      'BODY',
      'BODY ',
      'UNSEEN ',
      ' UNSEEN',
      'UNSEEN  SEEN',
      'OR SEEN',
      '(SEEN',
      'SEEN)',
      '()',
      'FUZZY BODY x',
    ],
    ...[
      'SINCE 1-Foo-2026',
      'SINCE 32-Jan-2026',
      'LARGER x',
      'UID x',
      'RETURN (MIN',
      'RETURN (CONTEXT) ALL',
      'RETURN ALL',
    ],
    ...[
      'RETURN (PARTIAL 1:-5) ALL',
      'RETURN (ALL PARTIAL 1:5) ALL',
      'RETURN (PARTIAL 0:5) ALL',
      'KEYWORD \\Seen',
      'BODY "x',
    ],
    ...[
      'CHARSET UTF-8',
      `${'NOT '.repeat(60)}SEEN`,
      `${'('.repeat(60)}SEEN${')'.repeat(60)}`,
      `SEEN${' SEEN'.repeat(1_000)}`,
    ],
  ])('%s is not judged', (text) => {
    expect(read(text)).toBeNull();
  });

  test('SORT and THREAD', () => {
    const sort = read('(REVERSE DATE SUBJECT) UTF-8 BODY x UNSEEN', 'SORT');
    expect(sort?.command).toEqual({ kind: 'sort', how: '(REVERSE DATE SUBJECT)' });
    const thread = read('REFERENCES US-ASCII TEXT x', 'THREAD');
    expect(thread?.command).toEqual({ kind: 'thread', how: 'REFERENCES' });
    expect(read('REFERENCES TEXT', 'THREAD')).toBeNull();
    expect(read('RETURN (COUNT) (DATE) UTF-8 ALL', 'SORT')).toBeNull();
  });
});

describe('answers', () => {
  const found: Found = { numbers: NumberSet.of([2, 3, 5, 9]), modSeq: 917n };
  const answer = (text: string, result = found): string | null =>
    writeAnswer(result, read(`${text} ALL`)?.returns ?? null, { tag: 'a1', byUid: true });

  test('say what was asked for', () => {
    expect(writeAnswer(found, null, { tag: 'a1', byUid: true })).toBe('* SEARCH 2 3 5 9 (MODSEQ 917)\r\n');
    expect(answer('RETURN ()')).toBe('* ESEARCH (TAG "a1") UID ALL 2:3,5,9 MODSEQ 917\r\n');
    expect(answer('RETURN (MIN MAX COUNT)')).toBe(
      '* ESEARCH (TAG "a1") UID MIN 2 MAX 9 COUNT 4 MODSEQ 917\r\n',
    );
    expect(answer('RETURN (SAVE)')).toBeNull();
    expect(answer('RETURN (PARTIAL 2:3)')).toBe('* ESEARCH (TAG "a1") UID PARTIAL (2:3 3,5) MODSEQ 917\r\n');
    expect(answer('RETURN (PARTIAL -1:-2)')).toContain('PARTIAL (-1:-2 5,9)');
    expect(answer('RETURN (PARTIAL 9:10)')).toContain('PARTIAL (9:10 NIL)');
  });

  test('of nothing say nothing but its count', () => {
    const nothing = { numbers: NumberSet.empty, modSeq: null };
    expect(writeAnswer(nothing, null, { tag: 'a1', byUid: false })).toBe('* SEARCH\r\n');
    expect(answer('RETURN (MIN ALL COUNT)', nothing)).toBe('* ESEARCH (TAG "a1") UID COUNT 0\r\n');
  });

  test('what is saved is what was returned, or all of it', () => {
    const saved = (text: string): string => {
      const returns = read(`RETURN (SAVE ${text}) ALL`.replace(' )', ')'))?.returns;
      return returns === null || returns === undefined ? 'none' : savedOf(found.numbers, returns).toString();
    };
    expect(saved('')).toBe('2:3,5,9');
    expect(saved('MIN')).toBe('2');
    expect(saved('MIN MAX')).toBe('2,9');
    expect(saved('MIN COUNT')).toBe('2:3,5,9');
    expect(saved('PARTIAL 3:3 MIN')).toBe('2,5');
    expect(partOf(found.numbers, { from: 1, to: 9, fromEnd: true, text: '' }).toString()).toBe('2:3,5,9');
  });

  test.each([
    ['* SEARCH 2 3 1', '1:3', null],
    ['* SEARCH', '', null],
    ['* SEARCH 5 (MODSEQ 7)', '5', 7n],
    ['* ESEARCH (TAG "x") UID ALL 1:3,5 MODSEQ 18446744', '1:3,5', 18_446_744n],
    ['* ESEARCH (TAG "x") UID', '', null],
    ['* ESEARCH (TAG "x") COUNT 0', '', null],
  ])('%s', (line, numbers, modSeq) => {
    const read = readSearchResponse(Buffer.from(`${line}\r\n`));
    expect(read?.numbers.toString()).toBe(numbers);
    expect(read?.modSeq).toBe(modSeq);
  });

  test.each([
    '* SEARCH x',
    '* SEARCH 0',
    '* SEARCH 4294967296',
    '* ESEARCH ALL 1:*',
    '* ESEARCH ALL 1:4294967295',
    '* SORT 1',
  ])('%s is no answer', (line) => {
    expect(readSearchResponse(Buffer.from(`${line}\r\n`))).toBeNull();
  });
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { resyncList } from '../../../src/imap-proxy/epoch/qresync.ts';
import {
  saidInCode,
  saidInStatus,
  withoutCode,
  withUidValidity,
} from '../../../src/imap-proxy/epoch/told-codes.ts';

const line = (text: string): Buffer => Buffer.from(`${text}\r\n`, 'latin1');

function told(text: string, number = 99): string {
  const said = saidInCode(line(text));
  return said === null ? 'none' : withUidValidity(line(text), said, number).toString('latin1').trimEnd();
}

test.each([
  ['* OK [UIDVALIDITY 7] UIDs valid', '* OK [UIDVALIDITY 99] UIDs valid'],
  ['* ok [uidvalidity 4294967295]', '* ok [uidvalidity 99]'],
  ['a1 OK [COPYUID 7 1:3,9 4:6,7] done', 'a1 OK [COPYUID 99 1:3,9 4:6,7] done'],
  ['* OK [COPYUID 7 7 7]', '* OK [COPYUID 99 7 7]'],
  ['a OK [APPENDUID 7 3:9] x', 'a OK [APPENDUID 99 3:9] x'],
  ['a NO [UIDVALIDITY 7] odd', 'a NO [UIDVALIDITY 99] odd'],
  ['a OK [READ-WRITE] [UIDVALIDITY 7]', 'none'],
  ['* OK text with [UIDVALIDITY 7]', 'none'],
  ['* OK [UIDNEXT 7] x', 'none'],
])('%s', (from, to) => {
  expect(told(from)).toBe(to);
});

test('a code is left out with nothing around it, and the text stays one', () => {
  const without = (text: string): string => {
    const said = saidInCode(line(text));
    return said === null ? '' : withoutCode(line(text), said).toString('latin1');
  };
  expect(without('a OK [APPENDUID 7 3] stored')).toBe('a OK stored\r\n');
  expect(without('a OK [APPENDUID 7 3]')).toBe('a OK Done\r\n');
});

test.each([
  [
    '* STATUS INBOX (MESSAGES 3 UIDVALIDITY 7)\r\n',
    'INBOX',
    '* STATUS INBOX (MESSAGES 3 UIDVALIDITY 99)\r\n',
  ],
  [
    '* STATUS "a \\"b\\" (UIDVALIDITY 5)" (UIDVALIDITY 7 UIDNEXT 7)\r\n',
    'a "b" (UIDVALIDITY 5)',
    '* STATUS "a \\"b\\" (UIDVALIDITY 5)" (UIDVALIDITY 99 UIDNEXT 7)\r\n',
  ],
  [
    '* STATUS {16}\r\nx (UIDVALIDITY 5 (UIDNEXT 8 UIDVALIDITY 7 MAILBOXID (F12))\r\n',
    'x (UIDVALIDITY 5',
    '* STATUS {16}\r\nx (UIDVALIDITY 5 (UIDNEXT 8 UIDVALIDITY 99 MAILBOXID (F12))\r\n',
  ],
])('%j', (from, mailbox, to) => {
  const said = saidInStatus(Buffer.from(from, 'latin1'));
  if (said === null || said === 'unreadable') throw new Error(String(said));
  expect(said.mailbox.toString('latin1')).toBe(mailbox);
  expect(withUidValidity(Buffer.from(from, 'latin1'), said, 99).toString('latin1')).toBe(to);
});

test('a STATUS without UIDVALIDITY says none, and one in no grammar is told as that', () => {
  expect(saidInStatus(line('* STATUS INBOX (MESSAGES 3)'))).toBeNull();
  expect(saidInStatus(line('* STATUS "UIDVALIDITY" (MESSAGES 3)'))).toBeNull();
  for (const text of [
    '* STATUS',
    '* STATUS x',
    '* STATUS x (UIDVALIDITY)',
    '* STATUS x (UIDVALIDITY 1 UIDVALIDITY 2)',
  ])
    expect(saidInStatus(line(text))).toBe('unreadable');
});

test('whatever a mail server says, what is read is where it is said to be', () => {
  const word = fc.constantFrom(
    '* ',
    'STATUS ',
    'x ',
    '"a b" ',
    '{3}\r\n',
    '(',
    ')',
    'UIDVALIDITY ',
    '7',
    ' ',
    '\\"',
    '[',
    ']',
    'OK ',
    'COPYUID ',
    '\r\n',
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 20 }), (words) => {
      const octets = Buffer.from(`${words.join('')}\r\n`, 'latin1');
      for (const said of [saidInStatus(octets), saidInCode(octets)]) {
        if (said === null || said === 'unreadable') continue;
        expect(octets.toString('latin1', said.from, said.to)).toBe(
          String(said.uidValidity).padStart(said.to - said.from, '0'),
        );
      }
    }),
    { numRuns: 3_000 },
  );
});

test.each([
  ['(QRESYNC (8 100))', '(QRESYNC (7 100))'],
  ['(QRESYNC (8 100 1:5 (1,2 3,4)))', '(QRESYNC (7 100 1:5 (1,2 3,4)))'],
  ['(CONDSTORE QRESYNC (8 100 1:5))', '(CONDSTORE QRESYNC (7 100 1:5))'],
  ['(QRESYNC (9 100))', ''],
  ['(QRESYNC (7 100 1:5) CONDSTORE)', '(CONDSTORE)'],
  ['(CONDSTORE QRESYNC (9 100))', '(CONDSTORE)'],
  ['(CONDSTORE)', '(CONDSTORE)'],
  ['(QRESYNC (8))', null],
  ['(QRESYNC  (8 100))', null],
  ['(QRESYNC (8 100) QRESYNC (7 100))', null],
])('with 8 for the mail server’s 7: %s', (from, to) => {
  expect(resyncList(from, (each) => (each === 8 ? 7 : null))).toBe(to);
});

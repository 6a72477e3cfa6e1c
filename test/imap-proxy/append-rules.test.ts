import { expect, test } from 'vitest';
import {
  appendUid,
  isCatenate,
  mailboxFollows,
  readAppendCommand,
} from '../../src/imap-proxy/append/append-command.ts';
import { type AppendRule, decideAppend, mayStoreAtRest } from '../../src/imap-proxy/append/append-rules.ts';
import { listedMailboxes } from '../../src/imap-proxy/append/listed-mailboxes.ts';

const rule = (changes: Partial<AppendRule>): AppendRule => ({
  ...{ mailbox: null, specialUse: null, login: null, store: 'at-rest', subject: 'protect', ...changes },
});
const decide = (
  rules: readonly AppendRule[],
  mailbox: string,
  uses: 'not-asked' | 'not-told' | string[] = 'not-asked',
) => decideAppend(rules, { login: 'alice', mailbox }, typeof uses === 'string' ? uses : new Set(uses)).kind;

test.each([
  ['Sent', 'Sent', true],
  ['Sent', 'Sent Items', false],
  ['Archive/*', 'Archive/2026/May', true],
  ['Archive/*', 'Archive', false],
  ['*', 'anything', true],
  ['a*b*c', 'a1b2bc', true],
  ['a*b*c', 'acb', false],
  ['a*a', 'a', false],
  ['inbox', 'INBOX', true],
  ['Entwürfe', 'Entwürfe', true],
])('the pattern %s and the mailbox %s: %s', (pattern, mailbox, applies) => {
  expect(decide([rule({ mailbox: [pattern] })], mailbox)).toBe(applies ? 'at-rest' : 'verbatim');
});

test('the first rule that applies decides; without one mail is stored as it is', () => {
  const rules = [rule({ mailbox: ['Sent'], store: 'verbatim' }), rule({ mailbox: ['S*'] })];
  expect([decide(rules, 'Sent'), decide(rules, 'Safe'), decide(rules, 'x'), decide([], 'x')]).toEqual([
    ...['verbatim', 'at-rest', 'verbatim', 'verbatim'],
  ]);
  expect(decide([rule({ login: ['bob'] }), rule({ store: 'verbatim' })], 'x')).toBe('verbatim');
  expect(mayStoreAtRest([rule({ login: ['bob'] })], 'alice')).toBe(false);
  expect(mayStoreAtRest([rule({ login: ['alice'] })], 'alice')).toBe(true);
});

test('what depends on a use that nobody has told is not decided, for a rule that says verbatim either', () => {
  const rules = [rule({ specialUse: ['\\Sent'] }), rule({ mailbox: ['Sent'], store: 'verbatim' })];
  expect(decide(rules, 'Sent')).toBe('depends');
  expect(decide(rules, 'Sent', 'not-told')).toBe('depends');
  expect(decide(rules, 'Sent', ['\\sent'])).toBe('at-rest');
  expect(decide(rules, 'Sent', [])).toBe('verbatim');
  expect(decide([rule({ specialUse: ['\\Junk'], store: 'verbatim' }), rule({})], 'x')).toBe('depends');
  // A name is enough where a use would be, too.
  expect(decide([rule({ specialUse: ['\\Sent'], mailbox: ['Sent'] })], 'Sent')).toBe('at-rest');
});

test('the command up to its message', () => {
  const read = (argument: string) => {
    const found = readAppendCommand(argument, 'append');
    return found === null ? null : [found.mailbox.toString('latin1'), found.before, found.utf8];
  };
  expect(read('Sent {5}')).toEqual(['Sent', 'Sent', false]);
  expect(read('"a \\"b\\"" (\\Seen) " 2-Jan-2026 03:04:05 +0000" {5+}')).toEqual([
    ...['a "b"', '"a \\"b\\"" (\\Seen) " 2-Jan-2026 03:04:05 +0000"', false],
  ]);
  expect(read('Sent () UTF8 (~{5+}')).toEqual(['Sent', 'Sent ()', true]);
  for (const other of [
    '{5}',
    'Sent',
    'Sent (x {5}',
    'Sent {5} x',
    'Sent "a" "b" {5}',
    'a\rb {5}',
    '4 Sent {5}',
  ])
    expect([other, read(other)]).toEqual([other, null]);
  expect(readAppendCommand('* Sent {5}', 'replace')?.before).toBe('* Sent');
  expect(readAppendCommand('Sent {5}', 'replace')).toBeNull();
  expect(mailboxFollows('{5+}', 'append')).toEqual({ before: '' });
  expect(mailboxFollows('7 {5+}', 'replace')).toEqual({ before: '7 ' });
  expect(mailboxFollows('Sent {5+}', 'append')).toBeNull();
  expect(isCatenate('Sent (\\Seen) CATENATE (URL "x")')).toBe(true);
});

test('what the mail server tells', () => {
  const listed = (...lines: string[]) =>
    listedMailboxes(lines.map((line) => Buffer.from(`${line}\r\n`, 'latin1')));
  expect(listed('* LIST (\\HasNoChildren \\Sent) "/" Sent')).toEqual([
    { name: 'Sent', attributes: ['\\hasnochildren', '\\sent'], id: null },
  ]);
  expect(
    listed(
      '* STATUS "a \\"b" (UIDVALIDITY 7 X (3) MESSAGES 1)',
      '* LIST () NIL "a \\"b" ("CHILDINFO" ("SUBSCRIBED"))',
      '* LIST () "." {4}\r\na)"b',
      '* STATUS {4}\r\na)"b (MAILBOXID (F21) UIDVALIDITY 7)',
      '* LIST (\\Sent \\NonExistent) "/" gone',
    ).map(({ name, id }) => [name, id]),
  ).toEqual([
    ['a "b', 'uidvalidity 7'],
    ['a)"b', 'id F21'],
  ]);
  expect(
    listed('* LSUB () "/" x', '* LIST () x', '* LIST () "/" ', '* STATUS x', 'a OK LIST () "/" x'),
  ).toEqual([]);
  expect(appendUid(Buffer.from('a OK [APPENDUID 3 9] x\r\n'))).toEqual({ uidValidity: 3, uid: 9 });
  expect(appendUid(Buffer.from('a OK [APPENDUID 3 9:10] x\r\n'))).toBeNull();
});

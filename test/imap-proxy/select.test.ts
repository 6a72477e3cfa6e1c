import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ReaderViews } from '../../src/reading/reader-views.ts';
import { eventually } from '../support/eventually.ts';
import type { ImapConversation } from './support/imap-conversation.ts';
import { startTestSession, type TestSession } from './support/test-session.ts';

/** Which mailbox a message belongs to, however its client names it. */

let client: ImapConversation;
let server: ImapConversation;
let close: TestSession['close'];

beforeEach(async () => {
  ({ client, server, close } = await startTestSession());
});

afterEach(() => close());

test.each([
  ['SELECT Entw&APw-rfe', 'Entwürfe'],
  ['SELECT "Entw&APw-rfe" (CONDSTORE)', 'Entwürfe'],
  ['EXAMINE {12+}\r\nEntw&APw-rfe', 'Entwürfe'],
  ['SELECT {12+}\r\nEntw&APw-rfe (CONDSTORE)', 'Entwürfe'],
  ['SELECT "a \\"b\\""', 'a "b"'],
  ['SELECT {5+}\r\ninBox', 'INBOX'],
])('%j: the mailbox is known by its name, before it is selected', async (command, name) => {
  const entered = vi.spyOn(ReaderViews.prototype, 'enter');
  client.send(`s ${command}\r\n`);
  await server.until(/s (?:SELECT|EXAMINE) [\s\S]*\r\n/);
  const news =
    '* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n* OK [MAILBOXID (F2212ea87-6097_x)] x\r\n';
  server.send(`${news}s OK [READ-WRITE] x\r\n`);
  expect(await client.until(/s OK[^\r\n]*\r\n/)).toBe(`${news}s OK [READ-WRITE] x\r\n`);
  expect(entered.mock.calls).toMatchObject([
    [{ name, exists: 3, uidValidity: 7, uidNext: 9, mailboxId: 'F2212ea87-6097_x' }],
  ]);
  entered.mockRestore();
});

test('while it is being entered the server is asked for UIDs, and its client hears nothing of that', async () => {
  const entered = vi.spyOn(ReaderViews.prototype, 'enter');
  let uid: number | null | undefined;
  entered.mockImplementation(async ({ uidOf }) => {
    uid = await uidOf?.(3);
  });
  client.send('s SELECT INBOX\r\nn NOOP\r\n');
  await server.until(/s SELECT INBOX\r\n/);
  server.send('* 3 EXISTS\r\ns OK x\r\n');
  const asked = await server.until(/\r\n/);
  expect(asked).toMatch(/^S\w+ UID SEARCH 3\r\n$/);
  server.send(`* 1 EXPUNGE\r\n* SEARCH 8\r\n${asked.split(' ')[0]} OK\r\n`);
  expect(await client.until(/s OK x\r\n/)).toBe('* 3 EXISTS\r\n* 1 EXPUNGE\r\ns OK x\r\n');
  expect(uid).toBe(8);
  expect(await server.until(/n NOOP\r\n/)).toBe('n NOOP\r\n');
  entered.mockRestore();
});

test('QRESYNC: what has vanished and changed is told while the mailbox is being selected', async () => {
  client.send('s SELECT INBOX (QRESYNC (7 20 1:9))\r\n');
  await server.until(/s SELECT [^\r\n]*\r\n/);
  const told =
    '* OK [CLOSED] x\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* VANISHED (EARLIER) 2,4:6\r\n* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (21))\r\ns OK [READ-WRITE] x\r\n';
  server.send(told);
  expect(await client.until(/s OK[^\r\n]*\r\n/)).toBe(told);
});

test('a mailbox that cannot be selected leaves none selected', async () => {
  client.send('s SELECT {4+}\r\nNone\r\nn NOOP\r\n');
  await server.until(/s SELECT \{4\+\}\r\nNone\r\n/);
  server.send('s NO [NONEXISTENT] x\r\n');
  expect(await client.until(/s NO[^\r\n]*\r\n/)).toBe('s NO [NONEXISTENT] x\r\n');
  expect(await server.until(/n NOOP\r\n/)).toBe('n NOOP\r\n');
});

test.each([
  ['COPY 1:2 Archiv', '', 'f OK [COPYUID 38 4,7:8 11:12,20] x'],
  ['UID COPY 4,7:8 {6+}\r\nArchiv', '', 'f OK [COPYUID 38 4,7:8 11:12,20] x'],
  [
    'MOVE 1:3 "Archiv"',
    '* OK [COPYUID 38 4,7:8 11:12,20] x\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n',
    'f OK x',
  ],
])('RFC 4315: what was said of messages is said of their copies (%j)', async (command, news, reply) => {
  const copied = vi.spyOn(ReaderViews.prototype, 'copied');
  let written: () => void = () => undefined;
  copied.mockImplementation(() => new Promise((resolve) => (written = resolve)));
  client.send(`f ${command}\r\n`);
  await server.until(/f [^\r\n]*\r\n(?:Archiv\r\n)?/);
  server.send(`${news}${reply}\r\n* 9 EXISTS\r\n`);
  await eventually(() =>
    expect(copied.mock.calls).toEqual([
      [[4, 7, 8], { mailbox: 'Archiv', uidValidity: 38, uids: [11, 12, 20] }],
    ]),
  );
  client.send('n NOOP\r\n');
  await server.until(/n NOOP\r\n/);
  expect(client.waiting).toBe('');
  written();
  expect(await client.until(/\* 9 EXISTS\r\n/)).toBe(`${news}${reply}\r\n* 9 EXISTS\r\n`);
  copied.mockRestore();
});

test('copies of two commands that are answered together are each where their own command has put them', async () => {
  const copied = vi.spyOn(ReaderViews.prototype, 'copied');
  client.send('a UID COPY 4 One\r\nb UID MOVE 5 Two\r\nc UID COPY 6 Three\r\n');
  await server.until(/c UID COPY 6 Three\r\n/);
  const answers =
    'a OK [COPYUID 38 4 11] x\r\n* OK [COPYUID 39 5 12] x\r\n* 5 EXPUNGE\r\nb OK x\r\nc OK [COPYUID 40 6 13] x\r\n';
  server.send(answers);
  expect(await client.until(/c OK[^\r\n]*\r\n/)).toBe(answers);
  expect(copied.mock.calls).toEqual([
    [[4], { mailbox: 'One', uidValidity: 38, uids: [11] }],
    [[5], { mailbox: 'Two', uidValidity: 39, uids: [12] }],
    [[6], { mailbox: 'Three', uidValidity: 40, uids: [13] }],
  ]);
  copied.mockRestore();
});

test('a mail server that goes behind its answer to COPY: the client has the answer, and does not copy again', async () => {
  client.send('a UID COPY 4 One\r\n');
  await server.until(/One\r\n/);
  server.socket.end('a OK [COPYUID 38 4 11] x\r\n* BYE x\r\n');
  expect(await client.rest()).toBe('a OK [COPYUID 38 4 11] x\r\n* BYE x\r\n');
});

test.each([
  '[COPYUID 38 4:9 1:2]',
  '[COPYUID 38 1:4294967295 1:4294967295]',
  '[COPYUID x]',
  '[UIDNEXT 4] COPYUID',
])('what is no list of copies is passed on, and nothing is learnt from it: %s', async (code) => {
  const copied = vi.spyOn(ReaderViews.prototype, 'copied');
  client.send('f COPY 1:2 Archiv\r\n');
  await server.until(/f [^\r\n]*\r\n/);
  server.send(`f OK ${code} x\r\n`);
  expect(await client.until(/f OK[^\r\n]*\r\n/)).toBe(`f OK ${code} x\r\n`);
  expect(copied).not.toHaveBeenCalled();
  copied.mockRestore();
});

import { afterEach, beforeEach, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { type ImapConversation, literal } from './support/imap-conversation.ts';
import type { TestProxy } from './support/listener.ts';
import { startTestSession, type TestSession } from './support/test-session.ts';
import { toyEncrypted } from './support/toy-story.ts';

/** Items, modifiers and sets of FETCH that its client may use, by number and by UID. */

const sealed = (entity: string): Buffer => toyEncrypted(['From: a@example.org', 'Subject: s'], entity);
const ENCRYPTED = sealed('Content-Type: text/plain\r\n\r\nplain\r\n \twords\r\n');
const LISTED = `${/Content-Type: [^\r\n]*\r\n/.exec(ENCRYPTED.toString('latin1'))?.[0] ?? ''}\r\n`;
const PLAIN = 'Subject: p\r\n\r\nhi\r\n';

let proxy: TestProxy;
let client: ImapConversation;
let server: ImapConversation;
let close: TestSession['close'];

beforeEach(async () => {
  ({ proxy, client, server, close } = await startTestSession());
});

afterEach(() => close());

/** The upstream's next command, which has to match; answered. `TAG` stands for its tag. */
async function serve(command: RegExp, answer: string): Promise<void> {
  const line = await server.until(/\r\n/);
  expect(line).toMatch(command);
  server.send(answer.replaceAll('TAG', line.split(' ')[0] ?? ''));
}

const response = (n: number, items: string): string => `* ${n} FETCH (${items})\r\n`;

test.each([
  ['before the literal', `UID 7 FLAGS () BODY[] ${literal(PLAIN)}`, `FLAGS () BODY[] ${literal(PLAIN)}`],
  ['between', `FLAGS () UID 7 BODY[] ${literal(PLAIN)}`, `FLAGS () BODY[] ${literal(PLAIN)}`],
  ['behind', `BODY[] ${literal(PLAIN)} UID 7`, `BODY[] ${literal(PLAIN)}`],
  ['behind, with more', `BODY[] ${literal(PLAIN)} UID 7 FLAGS ()`, `BODY[] ${literal(PLAIN)} FLAGS ()`],
])('by number, UID is asked for and not passed on: %s', async (_, said, heard) => {
  client.send('f FETCH 1 (FLAGS BODY.PEEK[])\r\n');
  await serve(/^f FETCH 1 \(UID FLAGS BODY\.PEEK\[\]\)\r\n$/, `${response(1, said)}TAG OK\r\n`);
  expect(await client.until(/f OK\r\n/)).toBe(`${response(1, heard)}f OK\r\n`);
});

test('by number, an opened message has the view and no UID, and so has its ENVELOPE', async () => {
  client.send('f FETCH 1 BODY[]\r\n');
  await serve(
    /^f FETCH 1 \(UID BODY\[\]\)\r\n$/,
    `${response(1, `UID 7 BODY[] ${literal(ENCRYPTED)}`)}TAG OK\r\n`,
  );
  const heard = await client.until(/f OK\r\n/);
  expect(heard).toMatch(new RegExp(`^\\* 1 FETCH \\(BODY\\[\\] \\{${ENCRYPTED.length}\\}\r\n`));
  expect(heard).toContain('plain\r\n \twords');
  client.send('g FETCH 1 ENVELOPE\r\n');
  const envelope = 'ENVELOPE ("d" "s" NIL NIL NIL NIL NIL NIL NIL "<i>")';
  await serve(/^g FETCH 1 \(UID ENVELOPE\)\r\n$/, `${response(1, `UID 7 ${envelope}`)}TAG OK\r\n`);
  expect(await client.until(/g OK\r\n/)).toBe(`${response(1, envelope)}g OK\r\n`);
});

test('who asks for UIDs, or for flags alone, sends what goes up', async () => {
  client.send('a FETCH 1 (FLAGS UID)\r\nb FETCH 1:* (FLAGS)\r\nc UID FETCH 1 (ENVELOPE)\r\n');
  expect(await server.until(/c [^\r\n]*\r\n/)).toBe(
    'a FETCH 1 (FLAGS UID)\r\nb FETCH 1:* (FLAGS)\r\nc UID FETCH 1 (ENVELOPE)\r\n',
  );
});

async function binary(entity: string, items: string, said: string): Promise<string> {
  client.send(`f UID FETCH 7 (${items})\r\n`);
  await serve(
    /^S\w+ UID FETCH 7 .*CONTENT-TYPE/,
    `${response(1, `UID 7 BODY[HEADER.FIELDS (CONTENT-TYPE)] ${literal(LISTED)}`)}TAG OK\r\n`,
  );
  await serve(/^f UID FETCH 7 /, `${response(1, `UID 7 ${said}`)}TAG OK\r\n`);
  await serve(
    /^S\w+ UID FETCH 7 \(UID BODY\.PEEK\[\]\)/,
    `${response(1, `UID 7 BODY[] ${literal(sealed(entity))}`)}TAG OK\r\n`,
  );
  return await client.until(/f (?:OK|NO)[^\r\n]*\r\n/);
}

test('RFC 3516: a part of the view without its encoding, its size, and a piece of it', async () => {
  const entity = 'Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n';
  const heard = await binary(
    entity,
    'BINARY.SIZE[1] BINARY[1] BINARY.PEEK[1]<1.2> BINARY.PEEK[1]<9.2> BINARY[2]',
    'BINARY.SIZE[1] 732 BINARY[1] ~{1}\r\nx BINARY[1]<1> ~{2}\r\nxx BINARY[1]<9> ~{2}\r\nxx BINARY[2] {0}\r\n',
  );
  expect(heard).toBe(
    `${response(1, 'UID 7 BINARY.SIZE[1] 4 BINARY[1] ~{4}\r\n\0\x01\x02\x03 BINARY[1]<1> ~{2}\r\n\x01\x02 BINARY[1]<9> ~{0}\r\n BINARY[2] {0}\r\n')}f OK\r\n`,
  );
});

test.each(['x-uuencode', 'base64'])(
  'RFC 3516 §4.3: an encoding that cannot be taken off (%s)',
  async (encoding) => {
    const entity = `Content-Type: text/plain\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n=\r\n`;
    expect(await binary(entity, 'BINARY.PEEK[1]', 'BINARY[1] ~{1}\r\nx')).toMatch(/^f NO \[UNKNOWN-CTE\] /);
  },
);

test('RFC 8970: the words of an opened message; of one that was not opened, none', async () => {
  const preview = async (tag: string, item: string): Promise<string> => {
    client.send(`${tag} UID FETCH 7 (${item} BODY.PEEK[HEADER.FIELDS (Content-Type)])\r\n`);
    const fields = `BODY[HEADER.FIELDS (Content-Type)] ${literal(LISTED)}`;
    await serve(new RegExp(`^${tag} `), `${response(1, `UID 7 PREVIEW "MIAGCSqGSIb3" ${fields}`)}TAG OK\r\n`);
    return await client.until(new RegExp(`${tag} OK\\r\\n`));
  };
  expect(await preview('a', 'PREVIEW (LAZY)')).toMatch(/^\* 1 FETCH \(UID 7 PREVIEW NIL BODY/);
  expect(await preview('b', 'PREVIEW')).toMatch(/^\* 1 FETCH \(UID 7 PREVIEW NIL BODY/);
  expect(proxy.control.opened).toBe(0);
  // However many were opened since, of which no more than a few views are kept.
  for (const uid of [7, ...Array.from({ length: limits.view.cachedViews }, (_, at) => 20 + at)]) {
    client.send(`f UID FETCH ${uid} BODY.PEEK[]\r\n`);
    await serve(/^f /, `${response(1, `UID ${uid} BODY[] ${literal(ENCRYPTED)}`)}TAG OK\r\n`);
    await client.until(/f OK\r\n/);
  }
  const opened = proxy.control.opened;
  expect(await preview('c', 'PREVIEW')).toContain('PREVIEW {11}\r\nplain words BODY');
  expect(await preview('d', 'PREVIEW (LAZY)')).toContain('PREVIEW {11}\r\nplain words BODY');
  expect(proxy.control.opened).toBe(opened);
});

test.each([
  ['1:* (BODY.PEEK[1]) (CHANGEDSINCE 5 VANISHED)', '1:*', ' (CHANGEDSINCE 5)'],
  ['1:* BODY.PEEK[1] (PARTIAL -1:-2)', '1:*', ' (PARTIAL -1:-2)'],
  ['$ (BODY.PEEK[1])', '$', ''],
])(
  'UID FETCH %s: the messages that are meant are those that are looked at',
  async (argument, set, modifiers) => {
    client.send(`f UID FETCH ${argument}\r\n`);
    const asked = await server.until(/\r\n/);
    expect(asked.replace(/^\S+ /, '')).toBe(
      `UID FETCH ${set} (UID BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])${modifiers}\r\n`,
    );
    const fields = (kind: string): string => `BODY[HEADER.FIELDS (CONTENT-TYPE)] ${literal(kind)}`;
    server.send(`${response(4, `UID 7 ${fields('\r\n')} MODSEQ (6)`)}${asked.split(' ')[0]} OK\r\n`);
    const answer = `* VANISHED (EARLIER) 3\r\n${response(4, `UID 7 BODY[1] ${literal('hi')} MODSEQ (6)`)}`;
    await serve(/^f UID FETCH /, `${answer}TAG OK\r\n`);
    expect(await client.until(/f OK\r\n/)).toBe(`${answer}f OK\r\n`);
  },
);

test('a message that came while the others were looked at is looked at by itself', async () => {
  client.send('f UID FETCH 7:* (BODY.PEEK[1])\r\n');
  await serve(/^S\w+ /, 'TAG OK\r\n');
  await serve(
    /^f /,
    `${response(4, `UID 7 BODY[1] ${literal('Q0ND')}`)}${response(5, `UID 8 BODY[1] ${literal('hi')}`)}TAG OK\r\n`,
  );
  await serve(/^S\w+ UID FETCH 7 /, `${response(4, `UID 7 BODY[] ${literal(ENCRYPTED)}`)}TAG OK\r\n`);
  await serve(/^S\w+ UID FETCH 8 /, `${response(5, `UID 8 BODY[] ${literal(PLAIN)}`)}TAG OK\r\n`);
  const heard = await client.until(/f OK\r\n/);
  expect(heard).toContain(response(4, `UID 7 BODY[1] ${literal('plain\r\n \twords\r\n')}`));
  expect(heard).toContain(response(5, `UID 8 BODY[1] ${literal('hi')}`));
});

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeTimers } from './support/fake-timers.ts';
import { FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import type { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyEncrypted } from './support/toy-story.ts';

/** What goes over the wires when a client searches. */

const SEALED = toyEncrypted(
  ['From: a@example.org', 'Subject: s'],
  'Content-Type: text/plain\r\n\r\nhidden oak\r\n',
);

let upstream: FakeUpstream;
let proxy: TestProxy;
let client: ImapConversation;
let server: ImapConversation;

async function begin(capabilities: string): Promise<void> {
  ({ client, server } = await loggedIn(upstream, proxy.port, capabilities));
}

beforeEach(async () => {
  upstream = await FakeUpstream.start();
  proxy = await startTestProxy(upstream.port);
});

afterEach(async () => {
  client.close();
  await proxy.close();
  await upstream.close();
});

/** The gateway's own next command: its tag and the rest. */
async function own(): Promise<{ tag: string; command: string }> {
  const line = await server.until(/^[^\r\n]*\r\n/);
  const [, tag = '', command = ''] = /^(S[0-9a-f]+) (.*)\r\n$/.exec(line) ?? [];
  return { tag, command: command === '' ? line : command };
}

/** Answers the next command of the gateway's own, which has to be that one. */
async function answer(command: string, ...untagged: string[]): Promise<void> {
  const asked = await own();
  expect(asked.command).toBe(command);
  server.send(`${untagged.map((each) => `* ${each}\r\n`).join('')}${asked.tag} OK done\r\n`);
}

async function open(): Promise<void> {
  client.send('f FETCH 3 (UID BODY.PEEK[])\r\n');
  await server.until(/^f FETCH 3 [^\r\n]*\r\n/);
  server.send(`* 3 FETCH (UID 9 BODY[] {${SEALED.length}}\r\n${SEALED.toString('latin1')})\r\nf OK done\r\n`);
  await client.until(/f OK done\r\n/);
}

const field = (type: string): string =>
  `BODY[HEADER.FIELDS (CONTENT-TYPE)] {${type.length + 18}}\r\nContent-Type: ${type}\r\n\r\n`;
const PLAIN = field('text/plain');
const PKCS7 = field('application/pkcs7-mime');
const CLASSIFY = 'BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)]';
const OLD = 'IMAP4rev1 SASL-IR AUTH=PLAIN';
const NEW = `${OLD} LITERAL+ ESEARCH SEARCHRES`;

test('what no content decides goes on octet for octet, and so does its answer', async () => {
  await begin(NEW);
  client.send('a1 UID  SEARCH\r\na2 SEARCH  RETURN (COUNT)  unseen\r\n');
  await client.until(/a1 BAD [^\r\n]*\r\n/);
  expect(await server.until(/^[^\r\n]*\r\n/)).toBe('a2 SEARCH  RETURN (COUNT)  unseen\r\n');
  client.send('a3 UID SEARCH SUBJECT {3+}\r\nx y SEEN\r\na4 SEARCH X-UNKNOWN (BODY y\r\n');
  server.send('* ESEARCH (TAG "a2") COUNT 7\r\na2 OK done\r\n');
  expect(await client.until(/a2 OK done\r\n/)).toBe('* ESEARCH (TAG "a2") COUNT 7\r\na2 OK done\r\n');
  expect(await server.until(/a4 [^\r\n]*\r\n/)).toBe(
    'a3 UID SEARCH SUBJECT {3+}\r\nx y SEEN\r\na4 SEARCH X-UNKNOWN (BODY y\r\n',
  );
});

test('without a sealed message the result is the mail server’s, and what messages are is asked once', async () => {
  await begin(OLD);
  client.send('a1 UID SEARCH BODY oak\r\n');
  await answer('UID SEARCH BODY oak', 'SEARCH 4 6');
  await answer(`UID FETCH 4,6 (UID ${CLASSIFY})`, `1 FETCH (UID 4 ${PLAIN})`, `2 FETCH (UID 6 ${PLAIN})`);
  expect(await client.until(/a1 OK [^\r\n]*\r\n/)).toBe('* SEARCH 4 6\r\na1 OK Search completed.\r\n');
  client.send('a2 UID SEARCH NOT BODY oak\r\n');
  await answer('UID SEARCH NOT BODY oak', 'SEARCH 5');
  await answer('UID SEARCH ALL', 'SEARCH 4 5 6');
  expect(await client.until(/a2 OK [^\r\n]*\r\n/)).toContain('* SEARCH 5\r\n');
});

test('by number nothing is sent that lets message numbers change', async () => {
  await begin(NEW);
  await open();
  client.send('a1 SEARCH RETURN (ALL) OR BODY oak BODY b64\r\n');
  await answer('SEARCH RETURN (ALL) OR BODY oak BODY b64', 'ESEARCH (TAG "x") ALL 1:3');
  await answer('SEARCH RETURN (ALL) UID 9', 'ESEARCH (TAG "x") ALL 3');
  await answer('SEARCH RETURN (ALL) UID 9', 'ESEARCH (TAG "x") ALL 3');
  await answer(`FETCH 1:2 (UID ${CLASSIFY})`, `1 FETCH (UID 4 ${PLAIN})`, `2 FETCH (UID 6 ${PKCS7})`);
  expect(await client.until(/a1 OK [^\r\n]*\r\n/)).toContain('* ESEARCH (TAG "a1") ALL 1,3\r\n');
});

test('numbers in a search by UID are not asked about while they may change', async () => {
  await begin(NEW);
  client.send('a1 UID SEARCH 1:2 BODY oak\r\n');
  await answer('SEARCH RETURN (ALL) 1:2 BODY oak', 'ESEARCH (TAG "x") ALL 2');
  await answer(`FETCH 2 (UID ${CLASSIFY})`, `2 FETCH (UID 6 ${PLAIN})`);
  await answer(`FETCH 2 (UID ${CLASSIFY})`, `2 FETCH (UID 6 ${PLAIN})`);
  expect(await client.until(/a1 OK [^\r\n]*\r\n/)).toContain('* SEARCH 6\r\n');
});

test('what the mail server says meanwhile is said, and the client’s next command waits', async () => {
  await begin(OLD);
  await open();
  client.send('a1 UID SEARCH BODY oak\r\na2 NOOP\r\n');
  await answer('UID SEARCH BODY oak', '2 EXPUNGE', '5 EXISTS', 'SEARCH 4', '1 FETCH (FLAGS (\\Seen))');
  await answer('UID SEARCH UID 9', 'SEARCH 9');
  await answer(`UID FETCH 4 (UID ${CLASSIFY})`, `1 FETCH (UID 4 ${PLAIN})`);
  expect(await server.until(/^[^\r\n]*\r\n/)).toBe('a2 NOOP\r\n');
  server.send('a2 OK done\r\n');
  expect(await client.until(/a2 OK done\r\n/)).toBe(
    '* 2 EXPUNGE\r\n* 5 EXISTS\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* SEARCH 4 9\r\na1 OK Search completed.\r\na2 OK done\r\n',
  );
});

test('literals are asked for by the gateway, and sent on as the mail server takes them', async () => {
  await begin(OLD);
  client.send('a1 SEARCH CHARSET utf-8 BODY {4}\r\n');
  await client.until(/^\+ [^\r\n]*\r\n/);
  client.send('gr\xfcn\r\n'.slice(0, 4));
  client.send('\r\n');
  const asked = await own();
  expect(asked.command).toBe('SEARCH CHARSET utf-8 BODY {4}');
  server.send('+ go\r\n');
  expect(await server.until(/\r\n/)).toBe('gr\xfcn\r\n');
  server.send(`* SEARCH\r\n${asked.tag} OK done\r\n`);
  expect(await client.until(/a1 OK [^\r\n]*\r\n/)).toContain('* SEARCH\r\n');
});

test('a refusal is the mail server’s own, under the client’s tag', async () => {
  await begin(OLD);
  client.send('a1 SEARCH CHARSET X-NO BODY {1+}\r\nx\r\n');
  const { tag } = await own();
  server.send(`${tag} NO [BADCHARSET (UTF-8)] no such charset\r\n`);
  expect(await client.until(/a1 [^\r\n]*\r\n/)).toBe('a1 NO [BADCHARSET (UTF-8)] no such charset\r\n');
  client.send('a2 SEARCH BODY x\r\n');
  await answer('SEARCH BODY x', 'SEARCH 1 x');
  expect(await client.until(/a2 [^\r\n]*\r\n/)).toMatch(/^a2 NO \[SERVERBUG\] /);
  client.send(`a3 SEARCH BODY {300000}\r\n`);
  expect(await client.until(/a3 [^\r\n]*\r\n/)).toMatch(/^a3 NO \[LIMIT\] /);
});

test('a connection that is lost in the middle answers nothing', async () => {
  await begin(OLD);
  client.send('a1 UID SEARCH BODY oak\r\n');
  await answer('UID SEARCH BODY oak', 'SEARCH 4');
  await own();
  server.close();
  expect(await client.rest()).toMatch(/^\* BYE [^\r\n]*\r\n$/);
});

test('a connection that is lost while a literal is asked for hangs nobody', async () => {
  await begin(OLD);
  client.send('a1 SEARCH BODY {1+}\r\nx\r\n');
  expect((await own()).command).toBe('SEARCH BODY {1}');
  server.close();
  expect(await client.rest()).toMatch(/^\* BYE [^\r\n]*\r\n$/);
});

test('words are found in the mailbox that they are in, and not under the same UID of another one', async () => {
  await begin(OLD);
  const select = async (mailbox: string): Promise<void> => {
    client.send(`s SELECT ${mailbox}\r\n`);
    await server.until(/SELECT [A-Za-z]+\r\n/);
    server.send('* OK [UIDVALIDITY 7] x\r\ns OK done\r\n');
    await client.until(/s OK done\r\n/);
  };
  await select('INBOX');
  await open();
  await select('Other');
  client.send('a1 UID SEARCH BODY oak\r\n');
  await answer('UID SEARCH BODY oak', 'SEARCH');
  expect(await client.until(/a1 OK [^\r\n]*\r\n/)).toContain('* SEARCH\r\n');
  await select('inbox');
  client.send('a2 UID SEARCH BODY oak\r\n');
  await answer('UID SEARCH BODY oak', 'SEARCH');
  await answer('UID SEARCH UID 9', 'SEARCH 9');
  expect(await client.until(/a2 OK [^\r\n]*\r\n/)).toContain('* SEARCH 9\r\n');
});

test('of very many, lines stay short: they are asked about, saved and sorted in pieces', async () => {
  await begin(NEW);
  const uids = Array.from({ length: 3_000 }, (_, index) => 2 * index + 1);
  const all = `ESEARCH (TAG "x") UID ALL ${uids.join(',')}`;
  const rest = async (first: RegExp): Promise<string[]> => {
    const commands: string[] = [];
    for (let last = 0; last !== uids.at(-1); ) {
      const { tag, command } = await own();
      expect(command.length).toBeLessThan(8_000);
      expect(command).toMatch(first);
      commands.push(command);
      last = Number(/([0-9]+)[^0-9,]*$/.exec(command.replace(/ \(UID .*$/, ''))?.[1]);
      server.send(`${tag} OK done\r\n`);
    }
    return commands;
  };
  client.send('a1 UID SEARCH RETURN (SAVE COUNT) BODY oak\r\n');
  await answer('UID SEARCH RETURN (ALL) BODY oak', all);
  expect((await rest(/^UID FETCH [0-9,]+ \(UID /)).length).toBe(2);
  const [first, second] = await rest(/^UID SEARCH RETURN \(SAVE\) /);
  expect(first).toMatch(/^UID SEARCH RETURN \(SAVE\) UID 1,3,/);
  expect(second).toMatch(/^UID SEARCH RETURN \(SAVE\) OR UID \$ UID [0-9,]+$/);
  expect(await client.until(/a1 OK [^\r\n]*\r\n/)).toContain('* ESEARCH (TAG "a1") UID COUNT 3000\r\n');
  client.send('a2 UID SORT (DATE) UTF-8 BODY oak\r\n');
  await answer('UID SEARCH RETURN (ALL) BODY oak', all);
  await rest(/^UID FETCH [0-9,]+ \(UID /);
  await answer('UID SORT (DATE) UTF-8 ALL', 'SORT 4 5999 2 1 3 6000');
  expect(await client.until(/a2 OK [^\r\n]*\r\n/)).toContain('* SORT 5999 1 3\r\n');
});

test('a tag may be made of whatever tags are made of', async () => {
  await begin(OLD);
  client.send("a$&$' UID SEARCH BODY oak\r\n");
  const { tag } = await own();
  server.send(`${tag} BAD no\r\n`);
  expect(await client.until(/\r\n/)).toBe("a$&$' BAD no\r\n");
});

test.each(['ISO-2022-JP', 'utf-8'])(
  'SORT in %s is asked for in the words that it was asked in',
  async (charset) => {
    await begin(NEW);
    client.send(`a1 UID SORT (DATE) ${charset} BODY x\r\n`);
    await answer(`UID SEARCH RETURN (ALL) ${charset === 'utf-8' ? '' : `CHARSET ${charset} `}BODY x`);
    expect(await client.until(/a1 OK [^\r\n]*\r\n/)).toContain('* SORT\r\n');
  },
);

describe('a search that opens what it might find', () => {
  const timers = new FakeTimers();
  const ORIGINAL = `1 FETCH (UID 4 BODY[] {${SEALED.length}}\r\n${SEALED.toString('latin1')})`;

  beforeEach(async () => {
    await proxy.close();
    const search = { kind: 'all', messages: 10, milliseconds: 7_000 } as const;
    proxy = await startTestProxy(upstream.port, { search, timers });
    await begin(NEW);
  });

  /** Up to where the one message that there is was handed over. */
  async function searchInto(): Promise<void> {
    client.send('a1 UID SEARCH BODY oak\r\n');
    await answer('UID SEARCH RETURN (ALL) ALL', 'ESEARCH (TAG "x") UID ALL 4');
    const asked = await own();
    if (asked.command.startsWith('UID FETCH 4 (UID BODY.PEEK[HEADER')) {
      server.send(`* 1 FETCH (UID 4 ${PKCS7})\r\n${asked.tag} OK done\r\n`);
      await answer('UID FETCH 4 (UID BODY.PEEK[])', ORIGINAL);
    } else {
      expect(asked.command).toBe('UID FETCH 4 (UID BODY.PEEK[])');
      server.send(`* ${ORIGINAL}\r\n${asked.tag} OK done\r\n`);
    }
  }

  test('ends when its time is over, also in the middle of a message', async () => {
    proxy.control.mode = 'waits';
    await searchInto();
    await proxy.control.waitFor(1);
    await timers.pass(7_000);
    await answer('UID SEARCH RETURN (ALL) BODY oak');
    expect(await client.until(/a1 OK [^\r\n]*\r\n/)).toContain('* SEARCH\r\n');
    expect(proxy.control.waiting.size).toBe(0);
  });

  test('ends when its client has gone', async () => {
    proxy.control.mode = 'waits';
    await searchInto();
    await proxy.control.waitFor(1);
    client.close();
    await proxy.control.waitFor(0);
  });

  test('a key that is away for searches is no message asked for in vain', async () => {
    proxy.control.mode = 'unavailable';
    for (let times = 0; times < 5; times++) {
      await searchInto();
      await answer('UID SEARCH RETURN (ALL) BODY oak');
      await client.until(/a1 OK [^\r\n]*\r\n/);
    }
    client.send('a2 UID FETCH 4 (BODY.PEEK[])\r\n');
    await server.until(/^a2 UID FETCH 4 [^\r\n]*\r\n/);
    server.send(`* ${ORIGINAL}\r\na2 OK done\r\n`);
    // At once: no time passes here.
    expect(await client.until(/a2 [^\r\n]*\r\n/)).toMatch(/a2 NO \[UNAVAILABLE\] /);
  });
});

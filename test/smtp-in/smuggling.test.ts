import { afterEach, expect, test } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { loggedIn, type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const INNER = 'MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\n';

test.each([
  ['\n.\n'],
  ['\n.\r\n'],
  ['\r\n.\n'],
  ['\r.\r'],
  ['\r.\r\n'],
  ['\r\n.\r'],
  ['\r\r\n.\r\r\n'],
  ['\n\n.\r\n'],
])('SMTP smuggling with %j: one message, and it is refused with a reason', async (sequence) => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (const code of ['250', '250', '354']) expect(await client.reply()).toContain(code);
  client.send(`Subject: outer\r\n\r\nouter${sequence}${INNER}Subject: inner\r\n\r\ninner\r\n.\r\n`);
  expect(await client.reply()).toMatch(/^554 5\.6\.0 .*CRLF/);
  // The session goes on in step, and nothing of it has reached the upstream.
  expect(await client.ask('NOOP')).toBe('250 2.0.0 upstream noop');
  expect(gateway.upstream.accepted).toEqual([]);
  expect(gateway.upstream.commands.filter((line) => /evil|victim|^DATA/.test(line))).toEqual([]);
  expect(gateway.story.submissions).toEqual([]);
  client.end();
});

test.each([
  ['NOOP\nNOOP\r\n'],
  ['NOOP\rNOOP\r\n'],
  ['MAIL FROM:<a@example.org>\nRCPT TO:<b@example.net>\r\n'],
])('a bare CR or LF in a command ends the session: %j', async (text) => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  client.send(text);
  expect(await client.toEnd()).toEqual(['500 5.5.2 Lines must end with CRLF; closing the connection']);
  expect(gateway.upstream.commands.filter((line) => /MAIL|RCPT|NOOP/.test(line))).toEqual([]);
});

test('a message that a story makes with a bare LF is not handed over', async () => {
  gateway = await testGateway();
  const { story } = gateway;
  const submit = story.submit.bind(story);
  story.submit = (submission, handOver) =>
    submit({ ...submission, octets: bufferSource(Buffer.from('x\r\n.\ny\r\n')) }, handOver);
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  expect(await client.ask('x\r\n.')).toMatch(/^451 /);
  expect(gateway.upstream.commands).not.toContain('DATA');
  expect(gateway.events.map((event) => event.event)).toContain('gateway.defect');
  client.end();
});

test('a command cannot be smuggled in an address', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  for (const path of ['<"a\0b"@example.org>', '<a@example.org>\tSIZE=1', '<"a\u0085b"@example.org>']) {
    expect(await client.ask(`MAIL FROM:${path}`)).toMatch(/^50[01] /);
  }
  expect(gateway.upstream.commands.filter((line) => line.startsWith('MAIL'))).toEqual([]);
  client.end();
});

test('a browser that is made to post a form to the port gets nothing done', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  client.send(`POST / HTTP/1.1\r\nHost: x\r\n\r\n${INNER}`);
  expect(await client.toEnd()).toEqual(['502 5.5.1 POST is not supported here']);
  expect(gateway.upstream.commands.filter((line) => line.startsWith('MAIL'))).toEqual([]);
});

test('BDAT that does not say how many octets follow ends the session before they are taken for commands', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  client.send(`BDAT all LAST\r\n${INNER}`);
  expect(await client.toEnd()).toEqual(['501 5.5.4 BDAT needs a size; closing the connection']);
  expect(gateway.upstream.commands.filter((line) => /evil|victim|^DATA/.test(line))).toEqual([]);
});

/** Published in December 2023, with every relative: each ends data for some server, and for us none does. */
const SEQUENCES = [
  ...[
    '\n.\n',
    '\n.\r\n',
    '\n.\r',
    '\r.\r',
    '\r.\n',
    '\r.\r\n',
    '\r\n.\n',
    '\r\n.\r',
    '\r\n.\r\r\n',
    '\r\n.\n\r\n',
  ],
  ...['\r\r\n.\r\r\n', '\n\n.\r\n', '\n\r.\n\r', '\r\n\0.\r\n', '\r\n\0\0.\n', '\r\0\n.\r\0\n', '\n\0.\0\n'],
];

test.each([
  ['in memory', ''],
  ['in a spool', `${'y'.repeat(70)}\r\n`.repeat(4_000)],
])('SMTP smuggling in a message %s, by DATA and BDAT, an octet at a time', async (_, before) => {
  gateway = await testGateway();
  for (const sequence of SEQUENCES) {
    // Each is an error, and sessions end after some.
    const client = await loggedIn(gateway.port);
    const text = `Subject: outer\r\n\r\n${before}outer${sequence}${INNER}Subject: inner\r\n\r\ninner\r\n`;
    for (const how of ['DATA', 'BDAT']) {
      client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n');
      for (let i = 0; i < 2; i++) expect(await client.reply()).toMatch(/^250/);
      if (how === 'DATA') expect(await client.ask('DATA')).toMatch(/^354/);
      else client.send(`BDAT ${Buffer.byteLength(text)} LAST\r\n`);
      const at = text.indexOf(sequence, before.length);
      client.send(text.slice(0, at));
      await client.trickle(text.slice(at, at + sequence.length));
      client.send(text.slice(at + sequence.length) + (how === 'DATA' ? '.\r\n' : ''));
      expect(await client.reply(), `${how} ${JSON.stringify(sequence)}`).toMatch(/^554 5\.6\.0 /);
    }
    expect(await client.ask('NOOP')).toBe('250 2.0.0 upstream noop');
    client.end();
  }
  expect(gateway.upstream.accepted).toEqual([]);
  expect(gateway.upstream.commands.filter((line) => /evil|victim|^DATA/.test(line))).toEqual([]);
  expect(gateway.story.submissions).toEqual([]);
});

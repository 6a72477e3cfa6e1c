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

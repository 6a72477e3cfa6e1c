import { afterEach, beforeEach, expect, test } from 'vitest';
import { quotedMailboxName, readMailboxName } from '../../src/imap-proxy/append/mailbox-name.ts';
import { limits } from '../../src/limits.ts';
import { FakeTimers } from './support/fake-timers.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import type { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { type ToyAtRest, toyAtRest, toyMailboxes } from './support/toy-at-rest.ts';

const MAIL = 'From: bob@example.org\r\nSubject: mine\r\n\r\nmy words\r\n';
const RULES = [
  { mailbox: ['Plain'], specialUse: null, login: null, store: 'verbatim', subject: 'keep' },
  { mailbox: ['Safe*'], specialUse: ['\\Sent'], login: null, store: 'at-rest', subject: 'keep' },
] as const;

let upstream: FakeUpstream;
let proxy: TestProxy;
let story: ToyAtRest;
let timers: FakeTimers;
let client: ImapConversation;
let server: ImapConversation;

beforeEach(async () => {
  upstream = await FakeUpstream.start();
  story = toyAtRest();
  timers = new FakeTimers();
  proxy = await startTestProxy(upstream.port, {
    timers,
    storing: { rules: RULES, story, mailboxes: toyMailboxes() },
  });
  await login();
});
afterEach(async () => {
  client.socket.destroy();
  await upstream.close();
  await proxy.close();
});

async function login(more = 'SPECIAL-USE LIST-EXTENDED'): Promise<void> {
  ({ client, server } = await loggedIn(upstream, proxy.port, `${CAPABILITIES} ${more}`));
}

/** The mail server's side of an APPEND that is encrypted: its first line and the message. */
async function taken(tag: string): Promise<{ line: string; message: string }> {
  const line = await server.until(new RegExp(`^${tag} [^\\r\\n]*\\{\\d+\\}\\r\\n`));
  const size = Number(/\{(\d+)\}\r\n$/.exec(line)?.[1]);
  server.send('+ go\r\n');
  const message = await server.until(new RegExp(`^[^]{${size}}`));
  return { line, message };
}

test('a literal that waits to be asked for, flags and date as they are, APPENDUID passes', async () => {
  client.send(`a APPEND "Safe One" (\\Seen $x) "02-Jan-2026 03:04:05 +0000" {${MAIL.length}}\r\n`);
  await client.until(/^\+ [^\r\n]*\r\n/);
  client.send(`${MAIL}\r\n`);
  const { line, message } = await taken('a');
  expect(line).toMatch(/^a APPEND "Safe One" \(\\Seen \$x\) "02-Jan-2026 03:04:05 \+0000" \{\d+\}\r\n$/);
  expect(message).toMatch(/^From: bob@example.org\r\nSubject: mine\r\nX-Sealgate-7f3a9c2e-At-Rest: 1; len=/);
  expect(message).not.toContain('my words');
  expect(await server.until(/^\r\n/)).toBe('\r\n');
  server.send('a OK [APPENDUID 3 9] stored\r\n');
  await client.until(/^a OK \[APPENDUID 3 9\] stored\r\n/);
});

test('the mail server does not want it: its words, and nothing more is sent', async () => {
  client.send(`a APPEND Safe {${MAIL.length}+}\r\n${MAIL}\r\nb NOOP\r\n`);
  await server.until(/^a APPEND Safe \{\d+\}\r\n/);
  server.send('a NO [TRYCREATE] none\r\n');
  await client.until(/^a NO \[TRYCREATE\] none\r\n/);
  expect(await server.until(/\r\n/)).toBe('b NOOP\r\n');
});

test('there is no room for it when it is there: OVERQUOTA', async () => {
  client.send(`a APPEND Safe {${MAIL.length}+}\r\n${MAIL}\r\n`);
  await taken('a');
  server.send('a NO [OVERQUOTA] full\r\n');
  await client.until(/^a NO \[OVERQUOTA\] full\r\n/);
});

test('UTF-8 (RFC 6855) and literal8 (RFC 3516): the form stays', async () => {
  client.send(`a APPEND Safe UTF8 (~{${MAIL.length}+}\r\n${MAIL})\r\n`);
  const line = await server.until(/^a APPEND Safe UTF8 \(~\{\d+\}\r\n/);
  server.send('+ go\r\n');
  await server.until(new RegExp(`^[^]{${/~\{(\d+)/.exec(line)?.[1]}}\\)\r\n`));
  server.send('a OK\r\n');
  await client.until(/a OK\r\n/);
  client.send(`b APPEND Safe ~{${MAIL.length}+}\r\n${MAIL}\r\n`);
  expect((await taken('b')).line).toMatch(/^b APPEND Safe \{\d+\}\r\n$/);
});

test('the special use of a mailbox is asked for, and asked for again only where there was none', async () => {
  for (const [tag, attributes] of [
    ['a', '\\HasNoChildren'],
    ['b', '\\HasNoChildren \\Sent'],
    ['c', null],
  ] as const) {
    client.send(`${tag} APPEND Gesendet {${MAIL.length}+}\r\n${MAIL}\r\n`);
    if (attributes !== null) {
      const asked = await server.until(/^S\w+ LIST "" [^\r]*\r\n[^\r]* RETURN \(SPECIAL-USE\)\r\n/);
      expect(asked).toMatch(/\{8\+\}\r\nGesendet RETURN/);
      server.send(`* LIST (${attributes}) "/" Gesendet\r\n${asked.split(' ')[0]} OK\r\n`);
    }
    if (tag === 'a')
      await server.until(new RegExp(`^a APPEND Gesendet \\{${MAIL.length}\\+\\}\r\n[^]{${MAIL.length}}\r\n`));
    else {
      expect((await taken(tag)).message).not.toContain('my words');
      await server.until(/^\r\n/);
    }
    server.send(`${tag} OK\r\n`);
    // What was asked for is not the client's.
    expect(await client.until(/OK\r\n/)).toBe(`${tag} OK\r\n`);
  }
});

test('a mail server that tells no special uses: refused rather than stored in the clear, but for mailboxes with a name in the rules', async () => {
  client.socket.destroy();
  await login('');
  client.send(`a APPEND Sent {${MAIL.length}+}\r\n${MAIL}\r\n`);
  expect(await client.until(/a [^\r]*\r\n/)).toMatch(/^a NO \[CANNOT\] .*\\Sent; it was not stored/);
  client.send(`b APPEND Plain {${MAIL.length}+}\r\n${MAIL}\r\n`);
  expect(await server.until(/my words\r\n/)).toContain('b APPEND Plain');
});

test('refused for now, or for good: NO with the words, and the mail server hears nothing', async () => {
  story.refusal = { kind: 'refused', code: 'x', duration: 'temporary', publicText: 'Insert the card.' };
  client.send(`a APPEND Safe {${MAIL.length}+}\r\n${MAIL}\r\n`);
  await client.until(/^a NO \[UNAVAILABLE\] Insert the card\.\r\n/);
  story.refusal = { ...story.refusal, duration: 'permanent' };
  client.send(`b APPEND Safe {${MAIL.length}+}\r\n${MAIL}\r\nc NOOP\r\n`);
  await client.until(/^b NO \[CANNOT\] Insert the card\.\r\n/);
  expect(await server.until(/\r\n/)).toBe('c NOOP\r\n');
});

test('what fails in the middle of it ends the session: the mail server never has the whole literal', async () => {
  story.breaksAfter = 20;
  client.send(`a APPEND Safe {${MAIL.length}+}\r\n${MAIL}\r\n`);
  const line = await server.until(/^a APPEND Safe \{\d+\}\r\n/);
  server.send('+ go\r\n');
  const size = Number(/\{(\d+)\}/.exec(line)?.[1]);
  expect((await server.rest()).length).toBeLessThan(size);
  expect(await client.rest()).not.toContain('a OK');
});

test('a client that stops in the middle of a message is not waited for without end', async () => {
  client.send(`a APPEND Safe {${MAIL.length}}\r\n`);
  await client.until(/^\+ [^\r\n]*\r\n/);
  await timers.pass(limits.atRest.silenceMs);
  expect(await client.rest()).toMatch(/^\* BYE /);
  expect(await server.rest()).toBe('');
});

test('too large, or with too much of a header: refused, and the session goes on', async () => {
  client.send('a APPEND Safe {50000000}\r\n');
  await client.until(/^a NO \[TOOBIG\][^\r]*\r\n/);
  const long = `${'X-A: b\r\n'.repeat(9_000)}\r\nmy words\r\n`;
  client.send(`b APPEND Safe {${long.length}+}\r\n${long}\r\nc NOOP\r\n`);
  await client.until(/^b NO \[LIMIT\][^\r]*\r\n/);
  expect(await server.until(/\r\n/)).toBe('c NOOP\r\n');
});

test('forms that are not in the grammar are refused, and so is a name that nobody can pass on', async () => {
  for (const form of [
    'Safe (\\Seen {3+}\r\nabc',
    'Safe CATENATE (TEXT {3+}\r\nabc)',
    '{4+}\r\na\r\nb {3+}\r\nabc',
  ]) {
    client.send(`a APPEND ${form}\r\n`);
    await client.until(/^a BAD [^\r]*\r\n/);
  }
  client.send('b NOOP\r\n');
  expect(await server.until(/\r\n/)).toBe('b NOOP\r\n');
});

test('REPLACE (RFC 8508): the same, where the mail server has it', async () => {
  client.send(`a REPLACE 4 Safe {${MAIL.length}+}\r\n${MAIL}\r\n`);
  await client.until(/^a BAD [^\r]*\r\n/);
  client.socket.destroy();
  await login('REPLACE SPECIAL-USE');
  client.send('b CAPABILITY\r\n');
  await server.until(/b CAPABILITY\r\n/);
  server.send(`* CAPABILITY ${CAPABILITIES} REPLACE\r\nb OK\r\n`);
  expect(await client.until(/b OK\r\n/)).toContain(' REPLACE ');
  for (const [tag, verb] of [
    ['c', 'REPLACE 4'],
    ['d', 'UID REPLACE 17'],
  ]) {
    client.send(`${tag} ${verb} Safe (\\Draft) {${MAIL.length}+}\r\n${MAIL}\r\n`);
    const { line, message } = await taken(tag ?? '');
    expect(line).toMatch(new RegExp(`^${tag} ${verb} Safe \\(\\\\Draft\\) \\{\\d+\\}\r\n$`));
    expect(message).not.toContain('my words');
    await server.until(/^\r\n/);
    server.send(`* OK [APPENDUID 1 18] x\r\n* 5 EXISTS\r\n* 4 EXPUNGE\r\n${tag} OK done\r\n`);
    expect(await client.until(new RegExp(`${tag} OK[^\r]*\r\n`))).toContain('* 4 EXPUNGE\r\n');
  }
  client.send(`e REPLACE 4 Plain {${MAIL.length}+}\r\n${MAIL}\r\n`);
  expect(await server.until(/my words\r\n/)).toContain('e REPLACE 4 Plain');
});

test('names of mailboxes: modified UTF-7 is what people write', () => {
  expect(readMailboxName(Buffer.from('Entw&APw-rfe'))).toBe('Entwürfe');
  expect(readMailboxName(Buffer.from('~peter/mail/&U,BTFw-/&ZeVnLIqe-'))).toBe('~peter/mail/台北/日本語');
  expect(readMailboxName(Buffer.from('a &- b'))).toBe('a & b');
  expect(readMailboxName(Buffer.from('&!'))).toBe('&!');
  expect(readMailboxName(Buffer.from('inBox'))).toBe('INBOX');
  expect(readMailboxName(Buffer.from('Entwürfe', 'utf8'))).toBe('Entwürfe');
  expect(quotedMailboxName(Buffer.from('a "b" \\'))).toBe('"a \\"b\\" \\\\"');
  expect(quotedMailboxName(Buffer.from('a\r\nb'))).toBeNull();
});

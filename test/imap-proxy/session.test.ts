import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ImapConversation, literal } from './support/imap-conversation.ts';
import type { TestProxy } from './support/listener.ts';
import { startTestSession, type TestSession } from './support/test-session.ts';
import { toyEncrypted } from './support/toy-story.ts';

const ENCRYPTED = toyEncrypted(
  ['From: a@example.org', 'Subject: s'],
  'Content-Type: text/plain\r\n\r\nplain words\r\n',
);
const CONTENT_TYPE = /Content-Type: [^\r\n]*\r\n/.exec(ENCRYPTED.toString('latin1'))?.[0] ?? '';
const LISTED = `${CONTENT_TYPE}\r\n`;

let proxy: TestProxy;
let client: ImapConversation;
let server: ImapConversation;
let close: TestSession['close'];

beforeEach(async () => {
  ({ proxy, client, server, close } = await startTestSession());
});

afterEach(() => close());

/** Whatever is silent so far stays behind a NOOP's answer. */
async function everything(): Promise<string> {
  client.send('zz NOOP\r\n');
  await server.until(/zz NOOP\r\n/);
  server.send('zz OK\r\n');
  return await client.until(/zz OK\r\n/);
}

test('a tagged response to no command ends the session', async () => {
  server.send('zz9 OK forged\r\n');
  const rest = await client.rest();
  expect(rest).toMatch(/^\* BYE /);
  expect(rest).not.toContain('forged');
  expect(proxy.events.some((each) => each.event === 'imap.protocol-error' && each.side === 'upstream')).toBe(
    true,
  );
});

test('a continuation request to no command ends the session', async () => {
  server.send('+ give me more\r\n');
  expect(await client.rest()).toMatch(/^\* BYE /);
});

test('a lone LF from the upstream ends the session', async () => {
  server.send('* OK x\n');
  expect(await client.rest()).toMatch(/^\* BYE /);
});

test('unknown untagged responses are dropped with their literals', async () => {
  server.send(`* XSPECIAL (a ${literal('zz9 OK x\r\n* 1 EXPUNGE\r\n')} b)\r\n* 5 EXISTS\r\n`);
  expect(await everything()).toBe('* 5 EXISTS\r\nzz OK\r\n');
});

test('attack: message content and free text that look like IMAP stay what they are', async () => {
  const body = 'Subject: x\r\n\r\nx{12}\r\n* 1 EXPUNGE\r\nf1 OK {5}\r\n';
  client.send('f1 UID FETCH 1 (BODY.PEEK[])\r\n');
  await server.until(/f1 UID FETCH 1 \(BODY\.PEEK\[\]\)\r\n/);
  const response = `* 1 FETCH (UID 1 BODY[] ${literal(body)})\r\n`;
  server.send(`${response}f1 OK done {5}\r\n`);
  expect(await client.until(/f1 OK done \{5\)\r\n/)).toBe(`${response}f1 OK done {5)\r\n`);
});

test('messages that are not S/MIME pass octet for octet, one octet at a time', async () => {
  const body = `Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${'line\r\n'.repeat(200)}`;
  client.send('f1 UID FETCH 1 (FLAGS BODY.PEEK[])\r\n');
  await server.until(/f1 .*\r\n/);
  const response = `* 1 FETCH (FLAGS (\\Seen) UID 1 BODY[] ${literal(body)})\r\nf1 OK done\r\n`;
  for (const octet of Buffer.from(response, 'latin1')) server.send(Buffer.from([octet]));
  expect(await client.until(/f1 OK done\r\n/)).toBe(response);
});

test('commands arrive in single octets, or three in one packet', async () => {
  for (const octet of Buffer.from('a1 NOOP\r\n')) client.send(Buffer.from([octet]));
  expect(await server.until(/a1 NOOP\r\n/)).toBe('a1 NOOP\r\n');
  server.send('a1 OK\r\n');
  await client.until(/a1 OK\r\n/);
  client.send('a2 NOOP\r\na3 LIST "" *\r\na4 STATUS INBOX (MESSAGES)\r\n');
  expect(await server.until(/a4 .*\r\n/)).toBe('a2 NOOP\r\na3 LIST "" *\r\na4 STATUS INBOX (MESSAGES)\r\n');
});

test.each([
  'XAPPLEPUSHSERVICE x',
  'UNAUTHENTICATE',
  'URLFETCH "x"',
  'AUTHENTICATE PLAIN',
  'LOGIN a b',
  'STARTTLS',
  'NOTIFY NONE',
  'REPLACE 1 INBOX {3+}\r\nabc',
])('%s is refused and not sent on', async (command) => {
  client.send(`x ${command}\r\n`);
  expect(await client.until(/x [^\r\n]*\r\n/)).toMatch(/^x BAD /);
  client.send('n NOOP\r\n');
  expect(await server.until(/n NOOP\r\n/)).toBe('n NOOP\r\n');
});

test('ENABLE goes on without what the gateway does not follow', async () => {
  client.send('e ENABLE IMAP4rev2 CONDSTORE\r\n');
  expect(await server.until(/e [^\r\n]*\r\n/)).toBe('e ENABLE CONDSTORE\r\n');
  server.send('* ENABLED CONDSTORE\r\ne OK\r\n');
  await client.until(/e OK\r\n/);
  client.send('e2 ENABLE IMAP4rev2\r\n');
  expect(await client.until(/e2 OK[^\r\n]*\r\n/)).toMatch(/^\* ENABLED\r\ne2 OK/);
});

test('a listing of an encrypted message shows the shell, without opening anything', async () => {
  client.send('f UID FETCH 1:2 (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (Subject Content-Type)])\r\n');
  await server.until(/f UID FETCH [^\r\n]*\r\n/);
  const fields = literal(`Subject: s\r\n${CONTENT_TYPE}\r\n`);
  server.send(
    `* 1 FETCH (BODY[HEADER.FIELDS (Subject Content-Type)] ${fields} UID 4 RFC822.SIZE 9)\r\nf OK\r\n`,
  );
  const answer = await client.until(/f OK\r\n/);
  expect(answer).toMatch(
    /Subject: s\r\nContent-Type: multipart\/mixed; boundary="=_sealgate_[a-z2-7]{26}"\r\n\r\n UID 4/,
  );
  expect(proxy.control.opened).toBe(0);
});

test('the reader of a structure gets it from the view: the message is fetched by number, once', async () => {
  client.send('f FETCH 3 (UID BODYSTRUCTURE)\r\nn NOOP\r\n');
  expect(await server.until(/BODYSTRUCTURE\)\r\n/)).toBe('f FETCH 3 (UID BODYSTRUCTURE)\r\n');
  server.send(
    '* 3 FETCH (UID 9 BODYSTRUCTURE ("application" "pkcs7-mime" NIL NIL NIL "base64" 99 NIL NIL NIL NIL))\r\n',
  );
  server.send('* 4 EXISTS\r\nf OK done\r\n');
  const injected = await server.until(/\r\n/);
  expect(injected).toMatch(/^S[0-9a-z]+ FETCH 3 \(UID BODY\.PEEK\[\]\)\r\n$/);
  const tag = injected.split(' ')[0];
  server.send(`* 3 FETCH (UID 9 FLAGS (\\Deleted) BODY[] ${literal(ENCRYPTED)})\r\n${tag} OK\r\n`);
  const answer = await client.until(/f OK done\r\n/);
  expect(answer).toContain('* 4 EXISTS\r\n');
  expect(answer).toContain('* 3 FETCH (UID 9 FLAGS (\\Deleted))\r\n');
  expect(answer).toMatch(/\* 3 FETCH \(UID 9 BODYSTRUCTURE \(\("text" "plain"/);
  expect(answer).not.toContain(String(tag));
  expect(await server.until(/n NOOP\r\n/)).toBe('n NOOP\r\n');
});

test('a structure that only looks like S/MIME passes unchanged', async () => {
  client.send('f UID FETCH 9 (BODYSTRUCTURE)\r\n');
  await server.until(/BODYSTRUCTURE\)\r\n/);
  const line =
    '* 3 FETCH (UID 9 BODYSTRUCTURE ("application" "octet-stream" ("name" "a.p7m") NIL NIL "base64" 9))\r\n';
  server.send(`${line}f OK\r\n`);
  const injected = await server.until(/\r\n/);
  expect(injected).toMatch(/ UID FETCH 9 \(UID BODY\.PEEK\[\]\)/);
  const twice = 'Content-Type: application/octet-stream; name=a.p7m\r\nContent-Type: text/plain\r\n\r\nx\r\n';
  server.send(`* 3 FETCH (UID 9 BODY[] ${literal(twice)})\r\n${injected.split(' ')[0]} OK\r\n`);
  expect(await client.until(/f OK\r\n/)).toBe(`${line}f OK\r\n`);
});

test('an EXPUNGE between a parked response and its answer: the answer has the number of now', async () => {
  client.send('f UID FETCH 8:9 (BODYSTRUCTURE)\r\n');
  await server.until(/BODYSTRUCTURE\)\r\n/);
  const sealed = (msn: number, uid: number): string =>
    `* ${msn} FETCH (UID ${uid} BODYSTRUCTURE ("application" "pkcs7-mime" NIL NIL NIL "base64" 99))\r\n`;
  server.send(`${sealed(3, 8)}${sealed(4, 9)}* 1 EXPUNGE\r\nf OK\r\n`);
  const first = await server.until(/\r\n/);
  expect(first).toMatch(/ UID FETCH 8 /);
  // Message 8 is expunged meanwhile.
  server.send(`* 2 EXPUNGE\r\n${first.split(' ')[0]} OK\r\n`);
  const second = await server.until(/\r\n/);
  expect(second).toMatch(/ UID FETCH 9 /);
  server.send(`* 2 FETCH (UID 9 BODY[] ${literal(ENCRYPTED)})\r\n${second.split(' ')[0]} OK\r\n`);
  const answer = await client.until(/f OK\r\n/);
  expect(answer).toMatch(
    /^\* 1 EXPUNGE\r\n\* 2 EXPUNGE\r\n\* 2 FETCH \(UID 9 BODYSTRUCTURE \(\("text" [^\r\n]*\r\nf OK\r\n$/,
  );
});

test('BODY[1] of a message nobody knows: its class is asked first', async () => {
  client.send('f FETCH 3 BODY.PEEK[1]\r\n');
  const asked = await server.until(/\r\n/);
  expect(asked).toMatch(/^S[0-9a-z]+ FETCH 3 \(UID BODY\.PEEK\[HEADER\.FIELDS \(CONTENT-TYPE\)\]\)\r\n$/);
  const tag = asked.split(' ')[0];
  server.send(`* 3 FETCH (UID 9 BODY[HEADER.FIELDS (CONTENT-TYPE)] ${literal(LISTED)})\r\n${tag} OK\r\n`);
  expect(await server.until(/\r\n/)).toBe('f FETCH 3 (UID BODY.PEEK[1])\r\n');
  server.send(`* 3 FETCH (UID 9 BODY[1] ${literal('Q0ND')})\r\nf OK\r\n`);
  const whole = await server.until(/\r\n/);
  expect(whole).toMatch(/ FETCH 3 \(UID BODY\.PEEK\[\]\)\r\n$/);
  server.send(`* 3 FETCH (UID 9 BODY[] ${literal(ENCRYPTED)})\r\n${whole.split(' ')[0]} OK\r\n`);
  expect(await client.until(/f OK\r\n/)).toBe(
    `* 3 FETCH (BODY[1] ${literal('plain words\r\n')})\r\nf OK\r\n`,
  );
});

test('a key that is away: nothing in the place of the message, and NO', async () => {
  proxy.control.mode = 'unavailable';
  client.send('f UID FETCH 1:2 (BODY.PEEK[])\r\n');
  await server.until(/f [^\r\n]*\r\n/);
  const other = `* 2 FETCH (UID 2 BODY[] ${literal('Subject: p\r\n\r\nhi\r\n')})\r\n`;
  server.send(`* 1 FETCH (UID 1 BODY[] ${literal(ENCRYPTED)})\r\n${other}f OK done\r\n`);
  const answer = await client.until(/f NO [^\r\n]*\r\n/);
  expect(answer).toBe(
    `${other}f NO [UNAVAILABLE] Key for 1 message not available: The key token is not there. Insert it and try again.\r\n`,
  );
  proxy.control.mode = 'works';
  client.send('g UID FETCH 1 (BODY.PEEK[])\r\n');
  await server.until(/g [^\r\n]*\r\n/);
  server.send(`* 1 FETCH (UID 1 BODY[] ${literal(ENCRYPTED)})\r\ng OK done\r\n`);
  expect(await client.until(/g OK done\r\n/)).toContain('plain words');
});

test('a message that was shown never turns into something else in the session', async () => {
  const fetchIt = async (tag: string): Promise<string> => {
    client.send(`${tag} UID FETCH 1 (BODY.PEEK[])\r\n`);
    await server.until(new RegExp(`${tag} [^\\r\\n]*\\r\\n`));
    server.send(`* 1 FETCH (UID 1 BODY[] ${literal(ENCRYPTED)})\r\n${tag} OK done\r\n`);
    return await client.until(new RegExp(`(?:^|\\r\\n)${tag} [^\\r\\n]*\\r\\n`));
  };
  const first = await fetchIt('g1');
  expect(first).toContain('plain words');
  proxy.control.mode = 'failed';
  expect(await fetchIt('g2')).toBe(first.replace('g1 OK', 'g2 OK'));
  expect(proxy.control.opened).toBe(1);
});

test.each([
  [
    'in the middle of a literal that passes',
    'Subject: x\r\n\r\nbegin',
    /^\* 1 FETCH \(UID 1 BODY\[\] \{50000\}\r\nSubject: x\r\n\r\nbegin$/,
  ],
  [
    'in the middle of a literal that is kept',
    ENCRYPTED.toString('latin1').slice(0, 300),
    /^\* BYE [^\r\n]*\r\n$/,
  ],
])('the upstream dies %s', async (_, begun, expected) => {
  client.send('f UID FETCH 1 (BODY.PEEK[])\r\n');
  await server.until(/f [^\r\n]*\r\n/);
  server.send(`* 1 FETCH (UID 1 BODY[] {50000}\r\n${begun}`);
  if (begun.startsWith('Subject')) {
    expect(await client.until(/begin$/)).toMatch(expected);
    server.close();
    expect(await client.rest()).toBe('');
  } else {
    server.close();
    expect(await client.rest()).toMatch(expected);
  }
});

test('the upstream dies in the middle of a short response: nothing of it is said', async () => {
  client.send('f UID FETCH 1:2 (BODY.PEEK[])\r\n');
  await server.until(/f [^\r\n]*\r\n/);
  const whole = `* 1 FETCH (UID 1 BODY[] ${literal('Subject: x\r\n\r\ntext\r\n')})\r\n`;
  server.send(`${whole}* 2 FETCH (UID 2 BODY[] {500}\r\nSubject: y\r\n\r\nbegin`);
  server.close();
  const heard = await client.rest();
  expect(heard.startsWith(whole)).toBe(true);
  expect(heard.slice(whole.length)).toMatch(/^\* BYE [^\r\n]*\r\n$/);
});

test('the upstream says BYE: the client hears it, once', async () => {
  server.send('* BYE maintenance\r\n');
  server.socket.end();
  expect(await client.rest()).toBe('* BYE maintenance\r\n');
});

test('APPEND streams; the upstream asks, refuses, or takes without asking', async () => {
  client.send('a APPEND INBOX {5}\r\n');
  await server.until(/a APPEND INBOX \{5\}\r\n/);
  server.send('+ send\r\n');
  await client.until(/\+ [^\r\n]*\r\n/);
  client.send('a\r\nb\0\r\n');
  expect(await server.until(/a\r\nb\0\r\n/)).toBe('a\r\nb\0\r\n');
  server.send('a OK [APPENDUID 1 5] stored\r\n');
  await client.until(/a OK \[APPENDUID 1 5\] stored\r\n/);

  client.send('b APPEND None {5}\r\n');
  await server.until(/b APPEND None \{5\}\r\n/);
  server.send('b NO [TRYCREATE] none\r\n');
  await client.until(/b NO \[TRYCREATE\] none\r\n/);

  client.send('c APPEND INBOX {7+}\r\nx {3}\r\n\r\nd NOOP\r\n');
  expect(await server.until(/d NOOP\r\n/)).toBe('c APPEND INBOX {7+}\r\nx {3}\r\n\r\nd NOOP\r\n');
});

test('IDLE: news come through, DONE ends it, commands behind it wait', async () => {
  client.send('i IDLE\r\n');
  await server.until(/i IDLE\r\n/);
  server.send('+ waiting\r\n* 7 EXISTS\r\n');
  await client.until(/\+ Go on\r\n\* 7 EXISTS\r\n/);
  client.send('DONE\r\nn NOOP\r\n');
  expect(await server.until(/DONE\r\n/)).toBe('DONE\r\n');
  server.send('i OK done\r\n');
  await client.until(/i OK done\r\n/);
  expect(await server.until(/n NOOP\r\n/)).toBe('n NOOP\r\n');
});

describe('IDLE that the mail server ends by itself', () => {
  beforeEach(async () => {
    client.send('i IDLE\r\n');
    await server.until(/i IDLE\r\n/);
    server.send('+ waiting\r\n');
    await client.until(/\+ Go on\r\n/);
  });

  test.each(['BAD no command', 'bad'])(
    'its answer %s to a DONE that has crossed that is nobody’s',
    async (bad) => {
      client.send('DONE\r\n');
      await server.until(/DONE\r\n/);
      server.send(`i OK long enough\r\nDONE ${bad}\r\n`);
      client.send('n NOOP\r\n');
      expect(await server.until(/n NOOP\r\n/)).toBe('n NOOP\r\n');
      server.send('n OK\r\n');
      expect(await client.until(/n OK\r\n/)).toBe('i OK long enough\r\nn OK\r\n');
    },
  );

  test('a client that has heard that goes on with what it likes', async () => {
    server.send('i OK long enough\r\n');
    await client.until(/i OK long enough\r\n/);
    client.send('a APPEND x {3}\r\n');
    await server.until(/a APPEND x \{3\}\r\n/);
    server.send('+ go\r\n');
    await client.until(/\+ Go on\r\n/);
    client.send('abc\r\ni IDLE\r\n');
    expect(await server.until(/abc\r\n/)).toBe('abc\r\n');
    server.send('a OK\r\n');
    await server.until(/i IDLE\r\n/);
    server.send('+ waiting\r\ni NO not now\r\n');
    await client.until(/i NO not now\r\n/);
    client.send('DONE\r\nn NOOP\r\n');
    expect(await server.until(/\r\n/)).toBe('n NOOP\r\n');
  });

  test('attack: whoever has not heard it and says something else is not followed', async () => {
    client.send('n NOOP\r\n');
    expect(await client.rest()).toMatch(/^\* BYE /);
    expect(proxy.events.some(({ event }) => event === 'imap.protocol-error')).toBe(true);
  });
});

test('attack: a mail server that answers a DONE that nobody has said', async () => {
  server.send('DONE BAD no command\r\n');
  expect(await client.rest()).toMatch(/^\* BYE /);
});

test('pipelined: SELECT waits for what is before it, and nothing overtakes it', async () => {
  client.send(
    's1 SELECT A\r\nf1 UID FETCH 1 (BODY.PEEK[HEADER.FIELDS (Content-Type)])\r\ns2 SELECT B\r\nf2 UID FETCH 1 (BODY.PEEK[HEADER.FIELDS (Content-Type)])\r\n',
  );
  const listing = (tag: string): string =>
    `* 1 FETCH (UID 1 BODY[HEADER.FIELDS (Content-Type)] ${literal(LISTED)})\r\n${tag} OK\r\n`;
  expect(await server.until(/\r\n/)).toBe('s1 SELECT A\r\n');
  server.send('* OK [UIDVALIDITY 11] x\r\ns1 OK\r\n');
  expect(await server.until(/\r\n/)).toMatch(/^f1 /);
  server.send(listing('f1'));
  expect(await server.until(/\r\n/)).toBe('s2 SELECT B\r\n');
  server.send('* OK [UIDVALIDITY 12] x\r\ns2 OK\r\n');
  expect(await server.until(/\r\n/)).toMatch(/^f2 /);
  server.send(listing('f2'));
  const answer = await client.until(/f2 OK\r\n/);
  const boundaries = answer.match(/boundary="[^"]*"/g) ?? [];
  expect(boundaries.length).toBe(2);
  expect(new Set(boundaries).size).toBe(2);
});

test('forged status of a plain message is made harmless, same length', async () => {
  client.send('f UID FETCH 1 (BODY.PEEK[] BODY.PEEK[HEADER])\r\n');
  await server.until(/f [^\r\n]*\r\n|S[^\r\n]*\r\n/);
  const header =
    'X-Sealgate-7f3a9c2e-Status: v=1; verdict=trusted\r\nAuthentication-Results: sealgate-7f3a9c2e; smime=pass\r\n\r\n';
  const response = `* 1 FETCH (UID 1 BODY[] ${literal(`${header}hi`)} BODY[HEADER] ${literal(header)})\r\n`;
  server.send(`${response}f OK\r\n`);
  const answer = await client.until(/f OK\r\n/);
  expect(answer.length).toBe(response.length + 6);
  expect(answer).not.toContain('7f3a9c2e');
  expect(
    answer.match(/\nX-Sealgate-7f3a9c2--Status: v=1; verdict=trusted\r\nAuth[^\r]*-7f3a9c2-; /g)?.length,
  ).toBe(2);
});

test('clear-signed messages pass unchanged, and are shown to the story afterwards', async () => {
  const signed =
    'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n';
  client.send('f UID FETCH 1 (BODY.PEEK[])\r\n');
  await server.until(/f [^\r\n]*\r\n/);
  const response = `* 1 FETCH (UID 1 BODY[] ${literal(signed)})\r\nf OK\r\n`;
  server.send(response);
  expect(await client.until(/f OK\r\n/)).toBe(response);
  await everything();
  expect(proxy.control.observed).toBe(1);
  expect(proxy.control.opened).toBe(0);
});

test('a key that is away while a part is asked for: NO, and no octet of the ciphertext', async () => {
  proxy.control.mode = 'unavailable';
  client.send('f UID FETCH 9 (BODYSTRUCTURE)\r\n');
  await server.until(/BODYSTRUCTURE\)\r\n/);
  server.send(
    '* 3 FETCH (UID 9 BODYSTRUCTURE ("application" "pkcs7-mime" NIL NIL NIL "base64" 99))\r\nf OK\r\n',
  );
  const injected = await server.until(/\r\n/);
  server.send(`* 3 FETCH (UID 9 BODY[] ${literal(ENCRYPTED)})\r\n${injected.split(' ')[0]} OK\r\n`);
  expect(await client.until(/f [^\r\n]*\r\n/)).toMatch(/^f NO \[UNAVAILABLE\] /);
});

test('a message for somebody else is shown with its ciphertext attached, whole or in pieces', async () => {
  proxy.control.mode = 'no-key';
  client.send('f UID FETCH 9 (BODY.PEEK[])\r\n');
  await server.until(/f [^\r\n]*\r\n/);
  server.send(`* 3 FETCH (UID 9 BODY[] ${literal(ENCRYPTED)})\r\nf OK\r\n`);
  const whole = await client.until(/\)\r\nf OK\r\n/);
  const size = Number(/\{([0-9]+)\}/.exec(whole)?.[1]);
  expect(size).toBeGreaterThan(ENCRYPTED.length);
  expect(whole).toContain(ENCRYPTED.toString('latin1').split('\r\n\r\n')[1]);
  client.send('g UID FETCH 9 (BODY.PEEK[]<0.65536>)\r\n');
  await server.until(/g [^\r\n]*\r\n/);
  server.send(`* 3 FETCH (UID 9 BODY[]<0> ${literal(ENCRYPTED)})\r\ng OK\r\n`);
  expect(await client.until(/g OK\r\n/)).toContain(whole.slice(whole.indexOf('{'), -'f OK\r\n'.length));
});

test('the story breaks: the client is asked to come back, and the session goes on', async () => {
  client.send('f UID FETCH 9 (BODY.PEEK[])\r\n');
  await server.until(/f [^\r\n]*\r\n/);
  proxy.control.mode = 'breaks';
  server.send(`* 3 FETCH (UID 9 BODY[] ${literal(ENCRYPTED)})\r\nf OK\r\n`);
  expect(await client.until(/f [^\r\n]*\r\n/)).toMatch(/^f NO \[UNAVAILABLE\] /);
  expect(proxy.events.some((each) => each.event === 'gateway.defect')).toBe(true);
  expect(await everything()).toBe('zz OK\r\n');
});

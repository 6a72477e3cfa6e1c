import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UNGUARDED } from '../../src/connections/client-guard.ts';
import { isLoopback } from '../../src/connections/loopback.ts';
import { type MailId, newSessionId } from '../../src/ids.ts';
import { silentLog } from '../../src/log/log.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import { readExtensions } from '../../src/smtp/extensions.ts';
import type { SessionSettings } from '../../src/smtp-in/conversation.ts';
import { SubmissionSession } from '../../src/smtp-in/session.ts';
import type { Answer, Upstream } from '../../src/smtp-out/client.ts';
import { PLAIN } from './support/client.ts';
import { ForwardingStory } from './support/gateway.ts';

const SETTINGS: SessionSettings = {
  listener: 'test',
  hostname: 'gateway.test',
  upstream: 'recorder:25',
  tls: 'none',
  maxMessageOctets: 200,
  allowPlainAuth: false,
  assumeLogin: null,
  fromHere: true,
};

const ok = (text: string): Promise<Answer> =>
  Promise.resolve({
    kind: 'reply',
    reply: { code: /^AUTH/.test(text) ? 235 : 250, lines: [`ok ${text.slice(0, 4)}`] },
  });

class Recorder implements Upstream {
  readonly name = 'recorder:25';
  readonly protocol = 'smtp';
  readonly extensions = readExtensions({ code: 250, lines: ['x', 'SIZE', 'SMTPUTF8', 'AUTH PLAIN'] });
  readonly secure = false;
  readonly lost = null;
  readonly heard: string[] = [];
  whenLost(): void {
    // It is never lost.
  }
  command(line: string): Promise<Answer> {
    this.heard.push(line);
    return ok(line);
  }
  secret(line: Buffer): Promise<Answer> {
    this.heard.push(line.toString().trimEnd());
    return ok(line.toString());
  }
  async data(message: OctetSource): Promise<Answer> {
    this.heard.push(`DATA ${(await collectFrom(message)).toString('latin1')}`);
    return await ok('DATA');
  }
  async dataForEach(message: OctetSource): Promise<readonly Answer[]> {
    return [await this.data(message)];
  }
  quit(): void {
    this.heard.push('QUIT');
  }
  abandon(): void {
    this.heard.push('abandon');
  }
}

type Played = { said: string; heard: string[]; ended: boolean };

/** A whole session without a socket: the octets come in these chunks, each after everything before it has been worked on. */
async function play(chunks: readonly Buffer[], remote = '127.0.0.1', settings = SETTINGS): Promise<Played> {
  const upstream = new Recorder();
  let said = '';
  let ended = false;
  const session = new SubmissionSession(
    {
      settings: { ...settings, fromHere: isLoopback(remote) },
      story: new ForwardingStory(),
      ownMailbox: null,
      log: silentLog,
      openUpstream: async () => upstream,
      newMailId: () => 'mail' as MailId,
      reception: { spool: encryptedSpool(), storeAndForward: null, sendingLimits: null, now: () => 0 },
      guard: UNGUARDED,
    },
    {
      write: (text) => {
        said += text;
      },
      startTls: () => {
        throw new Error('no TLS here');
      },
      end: () => {
        ended = true;
      },
      read: () => undefined,
    },
    newSessionId(),
    remote,
    false,
  );
  session.greet();
  for (const chunk of chunks) {
    // A copy, because the session wipes what was secret in it.
    session.receive(Buffer.from(chunk));
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
  }
  return { said, heard: upstream.heard, ended };
}

const SESSION = Buffer.from(
  [
    'EHLO client.test',
    `AUTH PLAIN ${PLAIN}`,
    'MAIL FROM:<jürgen@example.org> SMTPUTF8',
    'RCPT TO:<b@example.net>',
    'RCPT TO:<no>',
    'DATA',
    '..dot',
    '.x',
    '.',
    'MAIL FROM:<a@example.org>',
    'RSET',
    'MAIL FROM:<a@example.org>',
    'RCPT TO:<c@example.net>',
    'DATA',
    'bare\n.\r',
    '.',
    'MAIL FROM:<a@example.org>',
    'RCPT TO:<d@example.net>',
    'BDAT 9',
    'QUIT',
    'a',
    'BDAT 3',
    'b',
    'BDAT 0 LAST',
    'WHAT',
    'QUIT',
    'MAIL FROM:<after@example.org>',
    '',
  ].join('\r\n'),
);

test('a session cut in two at every octet says and does the same', async () => {
  const whole = await play([SESSION]);
  expect(whole.ended).toBe(true);
  expect(whole.heard).toContain('DATA .dot\r\nx\r\n');
  expect(whole.heard).toContain('DATA QUIT\r\na\r\nb\r\n');
  expect(whole.said).toMatch(/554 5\.6\.0 .*500 5\.5\.1 .*221 2\.0\.0 Goodbye\r\n$/s);
  for (let at = 1; at < SESSION.length; at++) {
    expect(await play([SESSION.subarray(0, at), SESSION.subarray(at)])).toEqual(whole);
  }
  expect(await play(Array.from(SESSION, (octet) => Buffer.of(octet)))).toEqual(whole);
});

const line = fc.constantFrom(
  'EHLO x\r\n',
  `AUTH PLAIN ${PLAIN}\r\n`,
  'AUTH PLAIN\r\n',
  'AUTH LOGIN\r\n',
  `${PLAIN}\r\n`,
  '*\r\n',
  'MAIL FROM:<a@example.org>\r\n',
  'RCPT TO:<b@example.net>\r\n',
  'DATA\r\n',
  'x\r\n.\r\n',
  'BDAT 8\r\nQUIT\r\nx\n',
  'BDAT 3\r\nx\r\n',
  'BDAT 0 LAST\r\n',
  'BDAT 300 LAST\r\n',
  '.\r\n',
  'RSET\r\n',
  'NOOP\r\n',
  'QUIT\r\n',
  'STARTTLS\r\n',
  'HELO x\r\n',
  '\r\n',
  '\n',
  '\r',
  '\0',
  'A'.repeat(300),
);

test('property: no octets get mail through without a login, break the order of replies, or bring a session down', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 24 }),
      fc.array(fc.nat(400), { maxLength: 4 }),
      async (lines, at) => {
        const octets = Buffer.from(lines.join(''));
        const cuts = at.filter((cut) => cut < octets.length).sort((a, b) => a - b);
        const chunks = [0, ...cuts].map((from, i) => octets.subarray(from, cuts[i] ?? octets.length));
        const whole = await play([octets]);
        expect(await play(chunks)).toEqual(whole);
        // Only whole replies, and of the gateway's defects none.
        expect(whole.said).toMatch(/^(?:\d{3}[ -][^\r\n]*\r\n)+$/);
        expect(whole.said).not.toContain('4.3.0');
        const login = whole.heard.findIndex((command) => command.startsWith('AUTH'));
        const mail = whole.heard.findIndex((command) => command.startsWith('MAIL'));
        if (mail !== -1) expect(login !== -1 && login < mail).toBe(true);
      },
    ),
    { numRuns: 200 },
  );
});

test('without TLS and from another machine there is no AUTH, and the upstream is not called', async () => {
  const octets = Buffer.from(`EHLO x\r\nAUTH PLAIN ${PLAIN}\r\nMAIL FROM:<a@example.org>\r\n`);
  const stranger = await play([octets], '192.0.2.1');
  expect(stranger.said).not.toContain('AUTH PLAIN');
  expect(stranger.said).toMatch(/538 5\.7\.11 .*530 5\.7\.0/s);
  expect(stranger.heard).toEqual([]);
  const allowed = await play([octets], '192.0.2.1', { ...SETTINGS, allowPlainAuth: true });
  expect(allowed.said).toContain('235 ok AUTH');
});

test('an assumed login is for clients of this machine alone, and needs no AUTH', async () => {
  const mail = Buffer.from('HELO x\r\nMAIL FROM:<a@example.org>\r\n');
  const assuming = { ...SETTINGS, assumeLogin: 'reports@example.org' };
  expect((await play([mail], '127.0.0.1', assuming)).heard).toEqual(['MAIL FROM:<a@example.org>']);
  // Not even where logins without TLS are allowed, and not where a tunnel shows its own address wrongly written.
  for (const remote of ['192.0.2.1', '::ffff:192.0.2.1', '127.0.0.1.example.org', '']) {
    const stranger = await play([mail], remote, { ...assuming, allowPlainAuth: true });
    expect(stranger.said).toContain('530 5.7.0');
    expect(stranger.heard).toEqual([]);
  }
  expect((await play([mail])).said).toContain('530 5.7.0');
});

test('an assumed login is no way around STARTTLS', async () => {
  const mail = Buffer.from('EHLO x\r\nMAIL FROM:<a@example.org>\r\n');
  const settings = { ...SETTINGS, tls: 'starttls', assumeLogin: 'reports@example.org' } as const;
  const played = await play([mail], '127.0.0.1', settings);
  expect(played.said).toContain('530 5.7.0 Must issue a STARTTLS command first');
  expect(played.heard).toEqual([]);
});

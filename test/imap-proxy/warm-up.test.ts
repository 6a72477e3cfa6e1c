import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { WARM_UP_AFTER_MS } from '../../src/imap-proxy/warm-up/warm-up.ts';
import { Openings } from '../../src/reading/openings.ts';
import { RecordedMailboxes } from '../../src/reading/recorded-mailbox.ts';
import { openSqlite, sql } from '../../src/store/sqlite.ts';
import { viewMigrations } from '../../src/store/view-migrations.ts';
import { SqliteViewRecords } from '../../src/store/view-records.ts';
import { FakeTimers } from './support/fake-timers.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { ImapConversation, literal } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyEncrypted } from './support/toy-story.ts';

/** Messages that are opened while their client idles. */

const LOGIN = 'bob@example.org';
const MAIL = toyEncrypted(['Subject: sealed'], 'Content-Type: text/plain\r\n\r\nwords\r\n');
const PLAIN = Buffer.from('Subject: plain\r\nContent-Type: text/plain\r\n\r\nhello\r\n');

describe('Dovecot', () => {
  test('what came is there before anybody asks, nothing of it was served, and news come meanwhile', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sealgate-views-'));
    const store = await openSqlite(join(folder, 'views.sqlite'), viewMigrations);
    const recorded = new RecordedMailboxes(new SqliteViewRecords(store));
    const dovecot: Dovecot = await startDovecot({ users: [{ login: LOGIN, password: 'a test' }] });
    const timers = new FakeTimers();
    const proxy = await startTestProxy(dovecot.imapPort, { warmUp: 3, timers, reading: { recorded } });
    const direct = await ImapConversation.login(dovecot.imapPort, LOGIN, '"a test"');
    const append = async (message: Buffer): Promise<void> => {
      direct.send(`a APPEND INBOX {${message.length}+}\r\n`);
      direct.send(message);
      direct.send('\r\n');
      await direct.until(/a OK[^\r\n]*\r\n/);
    };
    const records = async () =>
      (await store.query(sql`SELECT message, served FROM view_record ORDER BY message`)).map(
        ({ message, served }) => `${message} ${served}`,
      );
    const opened = async (count: number): Promise<void> => {
      while (proxy.control.opened < count) await new Promise((resolve) => setImmediate(resolve));
    };
    for (const message of [MAIL, MAIL, PLAIN, MAIL]) await append(message);
    const client = await ImapConversation.login(proxy.port, LOGIN, '"a test"');
    await client.command('SELECT INBOX');
    client.send('i IDLE\r\n');
    await client.until(/\+ [^\r]*\r\n/);
    await timers.pass(WARM_UP_AFTER_MS);
    await opened(3);
    // As many as may be: one more changes nothing.
    await append(MAIL);
    expect(await client.until(/\* 5 EXISTS\r\n/)).not.toContain('i OK');
    client.send('DONE\r\n');
    expect(await client.until(/i OK[^\r]*\r\n/)).not.toMatch(/FETCH|SEARCH/);
    expect(await records()).toEqual(['1 0', '2 0', '4 0']);
    const given = await client.command('UID FETCH 4 BODY.PEEK[]');
    expect(given).toContain('words');
    // From then on it stays what it is, whatever becomes of its key.
    expect(await records()).toEqual(['1 0', '2 0', '4 1']);
    expect(proxy.control.opened).toBe(3);
    expect(await client.command('SEARCH BODY words')).toContain('* SEARCH 1 2 4\r\n');
    client.close();
    proxy.control.mode = 'no-key';
    const later = await ImapConversation.login(proxy.port, LOGIN, '"a test"');
    await later.command('SELECT INBOX');
    expect(await later.command('UID FETCH 4 BODY.PEEK[]')).toMatch(/^c3 NO \[/);
    proxy.control.mode = 'works';
    // The tagged line has the mail server's own times.
    const message = (answer: string): string => answer.replace(/c[0-9]+ OK[^\r]*\r\n$/, '');
    expect(message(await later.command('UID FETCH 4 BODY.PEEK[]'))).toBe(message(given));
    later.close();
    direct.close();
    await proxy.close();
    await dovecot.stop();
    await store.close();
    await rm(folder, { recursive: true });
  });
});

describe('a mail server that says what a test says', () => {
  let upstream: FakeUpstream;
  let proxy: TestProxy;
  let client: ImapConversation;
  let server: ImapConversation;
  let timers: FakeTimers;
  beforeEach(async () => {
    timers = new FakeTimers();
    upstream = await FakeUpstream.start();
  });
  afterEach(async () => {
    client.close();
    await upstream.close();
    await proxy.close();
  });

  async function begin(openings = new Openings(), uidNext = 99): Promise<void> {
    proxy = await startTestProxy(upstream.port, { warmUp: 10, timers, openings });
    ({ client, server } = await loggedIn(upstream, proxy.port, CAPABILITIES));
    client.send('s SELECT INBOX\r\n');
    await server.until(/s SELECT INBOX\r\n/);
    server.send(`* 9 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT ${uidNext}] x\r\ns OK in\r\n`);
    await client.until(/s OK[^\r]*\r\n/);
    client.send('i IDLE\r\n');
    await server.until(/i IDLE\r\n/);
    server.send('+ idling\r\n');
    await client.until(/\+ [^\r]*\r\n/);
  }

  /** Takes a command of the gateway's own, which has to match; returns its tag. */
  async function asked(command: RegExp): Promise<string> {
    const said = await server.until(/[^\r]*\r\n/);
    expect(said).toMatch(command);
    return said.split(' ')[0] ?? '';
  }

  async function interrupted(...found: number[]): Promise<void> {
    await timers.pass(WARM_UP_AFTER_MS);
    expect(await server.until(/\r\n/)).toBe('DONE\r\n');
    server.send('* 2 EXPUNGE\r\ni OK Idle completed.\r\n');
    const search = await asked(/ UID SEARCH UNDELETED SMALLER [0-9]+ HEADER CONTENT-TYPE pkcs7-mime\r\n/);
    server.send(`* 3 FETCH (FLAGS (\\Seen))\r\n* SEARCH ${found.join(' ')}\r\n${search} OK\r\n`);
  }

  const body = (msn: number, uid: number) => `* ${msn} FETCH (UID ${uid} BODY[] ${literal(MAIL)})\r\n`;

  test('the newest first, one at a time; news in their order; then IDLE goes on, and is answered once', async () => {
    await begin();
    await interrupted(4, 7);
    const first = await asked(/ UID FETCH 7 \(UID BODY\.PEEK\[\]\)\r\n/);
    server.send(`* 10 EXISTS\r\n${body(3, 7)}* 1 FETCH (FLAGS (\\Answered))\r\n${first} OK\r\n`);
    const second = await asked(/ UID FETCH 4 \(UID BODY\.PEEK\[\]\)\r\n/);
    server.send(`${body(2, 4)}* 1 EXPUNGE\r\n${second} OK\r\n`);
    const idle = await asked(/ IDLE\r\n/);
    server.send('+ idling again\r\n* 11 EXISTS\r\n');
    expect(await client.until(/\* 11 EXISTS\r\n/)).toBe(
      '* 2 EXPUNGE\r\n* 3 FETCH (FLAGS (\\Seen))\r\n* 10 EXISTS\r\n* 1 FETCH (FLAGS (\\Answered))\r\n* 1 EXPUNGE\r\n* 11 EXISTS\r\n',
    );
    expect(proxy.control.opened).toBe(2);
    client.send('DONE\r\nn NOOP\r\n');
    expect(await server.until(/\r\n/)).toBe('DONE\r\n');
    server.send(`* 12 EXISTS\r\n${idle} OK done\r\n`);
    expect(await server.until(/\r\n/)).toBe('n NOOP\r\n');
    server.send('n OK\r\n');
    expect(await client.until(/n OK\r\n/)).toBe('* 12 EXISTS\r\ni OK Idle completed.\r\nn OK\r\n');
  });

  test('a client that has enough waits for one message at most', async () => {
    await begin();
    await interrupted(4, 7);
    const first = await asked(/ UID FETCH 7 /);
    client.send('DONE\r\nn NOOP\r\n');
    server.send(`${body(3, 7)}${first} OK\r\n`);
    expect(await server.until(/\r\n/)).toBe('n NOOP\r\n');
    server.send('n OK\r\n');
    expect(await client.until(/n OK\r\n/)).toMatch(
      /^\* 2 EXPUNGE\r\n\* 3 FETCH [^\r]*\r\ni OK Idle completed\.\r\nn OK/,
    );
  });

  test('nor for a key: what is slow is given up', async () => {
    await begin();
    proxy.control.mode = 'waits';
    await interrupted(7);
    const first = await asked(/ UID FETCH 7 /);
    server.send(`${body(3, 7)}${first} OK\r\n`);
    await proxy.control.waitFor(1);
    client.send('DONE\r\n');
    expect(await client.until(/i OK[^\r]*\r\n/)).toContain('i OK Idle completed.');
    await proxy.control.waitFor(0);
  });

  test('a key that is away ends it, without a word to the client, and IDLE goes on', async () => {
    await begin();
    proxy.control.mode = 'unavailable';
    await interrupted(4, 7);
    const first = await asked(/ UID FETCH 7 /);
    server.send(`${body(3, 7)}${first} OK\r\n`);
    await asked(/ IDLE\r\n/);
    server.send('+ idling\r\n* 11 EXISTS\r\n');
    expect(await client.until(/\* 11 EXISTS\r\n/)).toBe(
      '* 2 EXPUNGE\r\n* 3 FETCH (FLAGS (\\Seen))\r\n* 11 EXISTS\r\n',
    );
  });

  test('others come first: with no place to spare nothing is opened', async () => {
    const openings = new Openings({ opening: { all: 2, each: 2 }, waiting: { all: 1, each: 1 } });
    const place = await openings.enter('alice@example.org', new AbortController().signal);
    await begin(openings);
    await interrupted(4, 7);
    await asked(/ IDLE\r\n/);
    place?.leave();
    expect(proxy.control.opened).toBe(0);
  });

  test('nor does a client that has enough wait for a place that somebody has taken meanwhile', async () => {
    const openings = new Openings({ opening: { all: 2, each: 2 }, waiting: { all: 1, each: 1 } });
    await begin(openings);
    await interrupted(4);
    const first = await asked(/ UID FETCH 4 /);
    const { signal } = new AbortController();
    const taken = [
      await openings.enter('alice@example.org', signal),
      await openings.enter('a@example.org', signal),
    ];
    server.send(`${body(2, 4)}${first} OK\r\n`);
    const idle = await asked(/ IDLE\r\n/);
    server.send('+ idling\r\n');
    for (const place of taken) place?.leave();
    await timers.pass(WARM_UP_AFTER_MS);
    expect(await server.until(/\r\n/)).toBe('DONE\r\n');
    server.send(`${idle} OK\r\n`);
    const search = await asked(/ UID SEARCH /);
    server.send(`* SEARCH 4\r\n${search} OK\r\n`);
    const second = await asked(/ UID FETCH 4 /);
    server.send(`${body(2, 4)}${second} OK\r\n`);
    await asked(/ IDLE\r\n/);
    expect(proxy.control.opened).toBe(1);
  });

  test.each([
    ['while it idles', 0],
    ['when its IDLE is ended', 1],
    ['when it is asked what there is', 2],
    ['in the middle of a message', 3],
    ['when it is to idle again', 4],
  ])('a mail server that goes away %s', async (_, step) => {
    await begin();
    if (step > 0) {
      await timers.pass(WARM_UP_AFTER_MS);
      await server.until(/DONE\r\n/);
    }
    if (step > 1) {
      server.send('i OK Idle completed.\r\n');
      const search = await asked(/ UID SEARCH /);
      if (step > 2) {
        server.send(`* SEARCH 7\r\n${search} OK\r\n`);
        const fetch = await asked(/ UID FETCH 7 /);
        if (step === 3) server.send(body(3, 7).slice(0, 500));
        else {
          server.send(`${body(3, 7)}${fetch} OK\r\n`);
          await asked(/ IDLE\r\n/);
        }
      }
    }
    server.close();
    expect(await client.rest()).toMatch(/^(?:i OK Idle completed\.\r\n)?\* BYE [^\r]*\r\n$/);
  });

  test('a mail server that ends the IDLE itself: the client hears so at once', async () => {
    await begin();
    server.send('i OK You have idled long enough\r\n');
    expect(await client.until(/i OK[^\r]*\r\n/)).toBe('i OK You have idled long enough\r\n');
    client.send('DONE\r\nn NOOP\r\n');
    expect(await server.until(/\r\n/)).toBe('n NOOP\r\n');
  });

  test('a mail server that ends it when it is to be interrupted: the DONE that crosses that is nobody’s', async () => {
    await begin();
    await timers.pass(WARM_UP_AFTER_MS);
    expect(await server.until(/\r\n/)).toBe('DONE\r\n');
    server.send('i OK You have idled long enough\r\nDONE BAD Missing command\r\n');
    const search = await asked(/ UID SEARCH /);
    server.send(`* SEARCH\r\n${search} OK\r\n`);
    const idle = await asked(/ IDLE\r\n/);
    server.send(`+ idling\r\n${idle} OK You have idled long enough again\r\n`);
    expect(await client.until(/i OK[^\r]*\r\n/)).toBe('i OK You have idled long enough\r\n');
    client.send('n NOOP\r\n');
    expect(await server.until(/\r\n/)).toBe('n NOOP\r\n');
  });

  test('a client that goes away in the middle of it ends it', async () => {
    await begin();
    await interrupted(4, 7);
    await asked(/ UID FETCH 7 /);
    client.close();
    await server.rest();
    expect(proxy.control.opened).toBe(0);
  });

  test('attack: a client that says what is no line, in the middle of it, ends its own session and nothing else', async () => {
    await begin();
    await interrupted(4, 7);
    const first = await asked(/ UID FETCH 7 /);
    client.send('x'.repeat(200_000));
    const rest = client.rest();
    server.send(`${body(3, 7)}${first} OK\r\n`);
    // The gateway may ask on before that comes to it.
    const over = rest.then(() => null);
    for (;;) {
      const said = await Promise.race([over, server.until(/[^\r]*\r\n/).catch(() => null)]);
      if (said === null) break;
      server.send(said.includes(' IDLE') ? '+ idling\r\n' : `${said.split(' ')[0]} OK\r\n`);
    }
    expect(await rest).toMatch(/\* BYE [^\r]*\r\n$/);
    const other = await loggedIn(upstream, proxy.port);
    other.client.close();
  });

  test('where no mailbox is selected, or one without UIDVALIDITY, the mail server is left in peace', async () => {
    await begin();
    client.send('DONE\r\n');
    await server.until(/DONE\r\n/);
    server.send('i OK\r\n');
    await client.until(/i OK\r\n/);
    for (const [command, answer] of [
      ['CLOSE', ''],
      ['SELECT x', '* 3 EXISTS\r\n'],
    ] as const) {
      client.send(`t ${command}\r\ni IDLE\r\n`);
      await server.until(/t [^\r]*\r\n/);
      server.send(`${answer}t OK\r\n`);
      await server.until(/i IDLE\r\n/);
      server.send('+ idling\r\n');
      await client.until(/\+ [^\r]*\r\n/);
      expect(timers.pending).not.toContain(WARM_UP_AFTER_MS);
      client.send('DONE\r\n');
      expect(await server.until(/\r\n/)).toBe('DONE\r\n');
      server.send('i OK\r\n');
      await client.until(/i OK\r\n/);
    }
  });

  test('of a large mailbox only the newest are looked at, since DONE waits for that', async () => {
    await begin(undefined, 2_000_001);
    await timers.pass(WARM_UP_AFTER_MS);
    await server.until(/DONE\r\n/);
    server.send('i OK\r\n');
    expect(await server.until(/\r\n/)).toMatch(/ UID SEARCH UID 1990001:\* UNDELETED SMALLER /);
  });

  test('messages that come are opened too', async () => {
    await begin();
    await interrupted();
    await asked(/ IDLE\r\n/);
    server.send('+ idling\r\n* 10 EXISTS\r\n');
    await timers.pass(WARM_UP_AFTER_MS);
    expect(await server.until(/\r\n/)).toBe('DONE\r\n');
  });
});

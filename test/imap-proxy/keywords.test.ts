import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import type { InboundStory } from '../../src/pipeline/ports.ts';
import { RecordedMailboxes } from '../../src/reading/recorded-mailbox.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { viewMigrations } from '../../src/store/view-migrations.ts';
import { SqliteViewRecords } from '../../src/store/view-records.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { ImapConversation, literal } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyControl, toyEncrypted, toyStory } from './support/toy-story.ts';

const LOGIN = 'bob@example.org';
const keywords = { valid: '$SmimeValid', warning: '$SmimeWarn' };
const entity = (words: string) => `Content-Type: text/plain\r\n\r\n${words}\r\n`;
const VALID = toyEncrypted(['Subject: sealed'], entity('words'));
const BROKEN = toyEncrypted(['Subject: broken'], entity('broken'));
const PLAIN = Buffer.from('Subject: plain\r\nContent-Type: text/plain\r\n\r\nhello\r\n');

/** Of some mail the signature is broken. */
const story: InboundStory = {
  async open(request) {
    const outcome = await toyStory(toyControl()).open(request);
    if (outcome.kind !== 'opened' || outcome.entity.length !== entity('broken').length) return outcome;
    return {
      ...outcome,
      report: {
        layers: [
          ...outcome.report.layers,
          { kind: 'signed', form: 'clear', signatures: [], headerProtection: null } as never,
        ],
      },
      verdict: { kind: 'broken', why: 'It was changed.' },
    };
  },
};

describe('Dovecot', () => {
  let dovecot: Dovecot;
  let direct: ImapConversation;
  let proxy: TestProxy;
  let box: string;
  let count = 0;
  beforeAll(async () => {
    dovecot = await startDovecot({ users: [{ login: LOGIN, password: 'a test' }] });
  });
  beforeEach(async () => {
    proxy = await startTestProxy(dovecot.imapPort, { keywords, story });
    direct = await ImapConversation.login(dovecot.imapPort, LOGIN, '"a test"');
    box = `box${++count}`;
    await direct.command(`CREATE ${box}`);
    for (const message of [VALID, BROKEN, PLAIN]) {
      direct.send(`a APPEND ${box} (\\Flagged) {${message.length}+}\r\n`);
      direct.send(message);
      direct.send('\r\n');
      await direct.until(/a OK[^\r\n]*\r\n/);
    }
    await direct.command(`SELECT ${box}`);
  });
  afterEach(async () => {
    direct.close();
    await proxy.close();
  });
  afterAll(async () => {
    await dovecot.stop();
  });

  async function session(how = 'SELECT'): Promise<ImapConversation> {
    const client = await ImapConversation.login(proxy.port, LOGIN, '"a test"');
    await client.command(`${how} ${box}`);
    return client;
  }

  async function flags(): Promise<string[]> {
    await direct.command('NOOP');
    const text = await direct.command('UID FETCH 1:* (FLAGS)');
    return [...text.matchAll(/FETCH \([^\r]*FLAGS \(([^)]*)\)/g)].map(([, found = '']) =>
      found
        .split(' ')
        .filter((flag) => flag !== '\\Recent')
        .sort()
        .join(' '),
    );
  }

  test('what was found is set once, beside the flags there are; the client hears of it', async () => {
    const client = await session();
    await client.command('UID FETCH 1:3 (BODY.PEEK[])');
    expect(await flags()).toEqual(['\\Flagged', '\\Flagged', '\\Flagged']);
    const heard = await client.command('NOOP');
    expect(heard).toMatch(/\* 1 FETCH \([^\r]*\$SmimeValid[^\r]*\)\r\n/);
    expect(heard).toMatch(/\* 2 FETCH \([^\r]*\$SmimeWarn[^\r]*\)\r\n/);
    expect(await flags()).toEqual(['$SmimeValid \\Flagged', '$SmimeWarn \\Flagged', '\\Flagged']);
    await direct.command('UID STORE 1 -FLAGS ($SmimeValid)');
    await client.command('UID FETCH 1:3 (BODY.PEEK[])');
    await client.command('NOOP');
    expect(await flags()).toEqual(['\\Flagged', '$SmimeWarn \\Flagged', '\\Flagged']);
    client.close();
  });

  test.each([
    ['the next UID FETCH', 'UID FETCH 3 (FLAGS)'],
    ['LOGOUT', 'LOGOUT'],
    ['CLOSE', 'CLOSE'],
    ['another SELECT', 'SELECT INBOX'],
    ['CHECK', 'CHECK'],
  ])('it is set with %s', async (_, command) => {
    const client = await session();
    await client.command('UID FETCH 1 (BODY[])');
    const heard = await client.command(command);
    if (/SELECT|LOGOUT|CLOSE/.test(command)) expect(heard).not.toMatch(/\* 1 FETCH/);
    expect((await flags())[0]).toBe('$SmimeValid \\Flagged \\Seen');
    client.close();
  });

  test('and with IDLE, before it begins', async () => {
    const client = await session();
    await client.command('UID FETCH 1 (BODY.PEEK[])');
    client.send('i IDLE\r\n');
    expect(await client.until(/\+ [^\r]*\r\n/)).toMatch(/\* 1 FETCH \([^\r]*\$SmimeValid/);
    client.send('DONE\r\n');
    await client.until(/i OK[^\r]*\r\n/);
    client.close();
  });

  test('nothing is set where nothing may be changed, nor by a listing or a search', async () => {
    const reading = await session('EXAMINE');
    await reading.command('UID FETCH 1:3 (BODY.PEEK[])');
    await reading.command('NOOP');
    reading.close();
    const listing = await session();
    await listing.command('UID FETCH 1:3 (ENVELOPE BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])');
    await listing.command('UID SEARCH BODY words');
    await listing.command('NOOP');
    listing.close();
    expect(await flags()).toEqual(['\\Flagged', '\\Flagged', '\\Flagged']);
  });

  test('once for all sessions: a later one finds it shown before', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sealgate-views-'));
    const store = await openSqlite(join(folder, 'views.sqlite'), viewMigrations);
    const recorded = new RecordedMailboxes(new SqliteViewRecords(store));
    await proxy.close();
    proxy = await startTestProxy(dovecot.imapPort, { keywords, story, reading: { recorded } });
    for (const expected of ['$SmimeValid \\Flagged', '\\Flagged']) {
      const client = await session();
      await client.command('UID FETCH 1 (BODY.PEEK[])');
      await client.command('NOOP');
      client.close();
      expect((await flags())[0]).toBe(expected);
      await direct.command('UID STORE 1 -FLAGS ($SmimeValid)');
    }
    await proxy.close();
    await store.close();
    await rm(folder, { recursive: true });
  });
});

describe('a mail server that says what a test says', () => {
  let upstream: FakeUpstream;
  let proxy: TestProxy;
  let client: ImapConversation;
  let server: ImapConversation;
  beforeEach(async () => {
    upstream = await FakeUpstream.start();
    proxy = await startTestProxy(upstream.port, { keywords });
    ({ client, server } = await loggedIn(upstream, proxy.port, CAPABILITIES));
  });
  afterEach(async () => {
    client.close();
    await upstream.close();
    await proxy.close();
  });

  async function begin(permanent: string, answer = 'OK [READ-WRITE] in'): Promise<void> {
    client.send('s SELECT INBOX\r\n');
    await server.until(/s SELECT INBOX\r\n/);
    const told = permanent === '' ? '' : `* OK [PERMANENTFLAGS (${permanent})] x\r\n`;
    server.send(`* 9 EXISTS\r\n${told}* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 99] x\r\ns ${answer}\r\n`);
    await client.until(/s OK[^\r]*\r\n/);
  }

  async function opens(uid: number): Promise<void> {
    client.send(`f FETCH 1 (UID BODY.PEEK[])\r\n`);
    await server.until(/f FETCH[^\r]*\r\n/);
    server.send(`* 1 FETCH (UID ${uid} BODY[] ${literal(VALID)})\r\nf OK\r\n`);
    await client.until(/f OK\r\n/);
  }

  async function noop(): Promise<string> {
    client.send('n NOOP\r\n');
    const said = await server.until(/\r\n/);
    if (said === 'n NOOP\r\n') server.send('n OK\r\n');
    return said;
  }

  test.each([
    ['no keywords can be made', '\\Seen \\Deleted', 'OK [READ-WRITE] in'],
    ['nobody says which can', '', 'OK [READ-WRITE] in'],
    ['nothing is permanent', ' ', 'OK in'],
    ['the mailbox is read-only', '\\Seen \\*', 'OK [READ-ONLY] in'],
  ])('nothing is set where %s', async (_, permanent, answer) => {
    await begin(permanent, answer);
    await opens(5);
    expect(await noop()).toBe('n NOOP\r\n');
    await client.until(/n OK\r\n/);
  });

  test('a keyword that is there already can be set; what a server refuses is not tried again', async () => {
    await begin(`${'k'.repeat(5_000)} $smimevalid`);
    await opens(5);
    const said = await noop();
    expect(said).toMatch(/ UID STORE 5 \+FLAGS \(\$SmimeValid\)\r\n$/);
    server.send(`* 2 EXPUNGE\r\n${said.split(' ')[0]} NO [NOPERM] not yours\r\n`);
    expect(await server.until(/\r\n/)).toBe('n NOOP\r\n');
    server.send('n OK\r\n');
    expect(await client.until(/n OK\r\n/)).toBe('* 2 EXPUNGE\r\nn OK\r\n');
    await opens(6);
    expect(await noop()).toBe('n NOOP\r\n');
    await client.until(/n OK\r\n/);
  });

  test('commands that come one behind the other do not wait for it', async () => {
    await begin('\\*');
    await opens(5);
    client.send('a FETCH 2 (FLAGS)\r\nb UID FETCH 6 (FLAGS)\r\nn NOOP\r\n');
    await server.until(/^a FETCH 2 \(FLAGS\)\r\nb UID FETCH 6 \(FLAGS\)\r\nn NOOP\r\n/);
    server.send('a OK\r\nb OK\r\nn OK\r\n');
    await client.until(/n OK\r\n/);
    expect(await noop()).toMatch(/ UID STORE 5 /);
  });
});

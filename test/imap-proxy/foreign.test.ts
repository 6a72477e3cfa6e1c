import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { TriedMessages } from '../../src/imap-proxy/refresh/refreshing.ts';
import type { ForeignJudge, MessageBeginning } from '../../src/pipeline/ports.ts';
import { usualReading } from '../../src/reading/reading-settings.ts';
import { RecordedMailboxes } from '../../src/reading/recorded-mailbox.ts';
import { openSqlite, type SqlStore } from '../../src/store/sqlite.ts';
import { viewMigrations } from '../../src/store/view-migrations.ts';
import { SqliteViewRecords } from '../../src/store/view-records.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { ImapConversation, literal, literalAfter } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyEncrypted } from './support/toy-story.ts';

/** Encrypted mail for others stays exactly as it is stored, where that is asked before it is listed. */

const LOGIN = 'bob@example.org';
const ENTITY = 'Content-Type: text/plain\r\n\r\nwords\r\n';
const MINE = toyEncrypted(['Subject: mine'], ENTITY);
const OTHERS = toyEncrypted(['Subject: others'], `${ENTITY}${'x'.repeat(20_000)}`);
const PLAIN = Buffer.from('Subject: plain\r\nContent-Type: text/plain\r\n\r\nhello\r\n');

/** Toy mail for others is long. */
class Judge implements ForeignJudge {
  asked: MessageBeginning[] = [];
  says: 'may-open' | 'for-others' | null = null;
  async judge(_: unknown, beginning: MessageBeginning) {
    this.asked.push(beginning);
    return this.says ?? (beginning.whole ? 'may-open' : 'for-others');
  }
}

let folder: string;
let store: SqlStore;
let judge: Judge;
let proxy: TestProxy | null;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-views-'));
  store = await openSqlite(join(folder, 'views.sqlite'), viewMigrations);
  judge = new Judge();
  proxy = null;
});
afterEach(async () => {
  await proxy?.close();
  await store.close();
  await rm(folder, { recursive: true });
});

/** As after a restart. */
async function proxyFor(port: number, foreign: 'peek-first' | 'shell-first' = 'peek-first', fits = false) {
  await proxy?.close();
  proxy = await startTestProxy(port, {
    reading: {
      recorded: new RecordedMailboxes(new SqliteViewRecords(store)),
      settings: { ...usualReading, foreign },
    },
    ...(foreign === 'peek-first' ? { foreign: judge } : {}),
    refresh: {
      ...{ messages: fits ? 10 : 0, tried: new TriedMessages() },
      fit: { keys: async () => 'k', fits: async () => fits },
    },
  });
  return proxy;
}

describe('Dovecot', () => {
  let dovecot: Dovecot;
  let direct: ImapConversation;
  beforeEach(async () => {
    dovecot = await startDovecot({ users: [{ login: LOGIN, password: 'a test' }] });
    direct = await ImapConversation.login(dovecot.imapPort, LOGIN, '"a test"');
    for (const message of [MINE, OTHERS, PLAIN]) await append(message);
  });
  afterEach(async () => {
    direct.close();
    await dovecot.stop();
  });

  async function append(message: Buffer): Promise<void> {
    direct.send(`a APPEND INBOX {${message.length}+}\r\n`);
    direct.send(message);
    direct.send('\r\n');
    await direct.until(/a OK[^\r\n]*\r\n/);
  }

  async function session(): Promise<ImapConversation> {
    const client = await ImapConversation.login(proxy?.port ?? 0, LOGIN, '"a test"');
    await client.command('SELECT INBOX');
    return client;
  }

  const ALL =
    'UID FETCH 1:* (UID FLAGS RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (SUBJECT CONTENT-TYPE)])';

  /** What a client sees of a message, each way it can ask. */
  async function all(client: ImapConversation, uid: number): Promise<string[]> {
    const asked = [
      `UID FETCH ${uid} (RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (SUBJECT CONTENT-TYPE)])`,
      `UID FETCH ${uid} BODY.PEEK[]`,
      `UID FETCH ${uid} BODY.PEEK[1]<0.100>`,
      `FETCH 1:* (UID BODY.PEEK[TEXT])`,
    ];
    const answers: string[] = [];
    for (const each of asked) answers.push((await client.command(each)).replace(/c[0-9]+ OK[^\r]*/, ''));
    return answers;
  }

  test('what is for others is what the mail server says, every way, in all later sessions; what is mine is opened', async () => {
    await proxyFor(dovecot.imapPort);
    const client = await session();
    const listing = await client.command(ALL);
    expect(listing.match(/application\/pkcs7-mime/g)).toHaveLength(1);
    expect(listing).toContain('_sealgate_');
    expect(literalAfter(await client.command('UID FETCH 2 BODY.PEEK[]'), 'BODY[]')).toBe(
      OTHERS.toString('latin1'),
    );
    expect(await client.command('UID FETCH 1 BODY.PEEK[]')).toContain('words');
    expect(proxy?.control.opened).toBe(1);
    await direct.command('SELECT INBOX');
    const stored = (await all(direct, 2)).slice(0, 3);
    expect((await all(client, 2)).slice(0, 3)).toEqual(stored);
    expect(judge.asked.map(({ body }) => body.length)).toEqual([MINE.length - headerOf(MINE), 8_192]);
    client.close();
    // Whatever keys there are later, and whoever asks.
    judge.says = 'may-open';
    for (const mode of ['peek-first', 'shell-first', 'peek-first'] as const) {
      await proxyFor(dovecot.imapPort, mode);
      const later = await session();
      expect((await all(later, 2)).slice(0, 3)).toEqual(stored);
      expect(await later.command('UID SEARCH BODY words')).toMatch(/\* SEARCH(?: 1)?\r\n/);
      expect(await later.command('UID FETCH 1 BODY.PEEK[]')).toContain('words');
      later.close();
    }
    expect(judge.asked).toHaveLength(2);
  });

  test('only what came since is asked for; what came while nobody asked is shown opened, for good', async () => {
    await proxyFor(dovecot.imapPort, 'shell-first');
    const before = await session();
    const [shell] = await all(before, 2);
    expect(shell).toContain('_sealgate_');
    before.close();
    await append(OTHERS);
    await proxyFor(dovecot.imapPort);
    const client = await session();
    await append(OTHERS);
    await append(MINE);
    await client.command('NOOP');
    const listing = await client.command(ALL);
    expect(listing.match(/application\/pkcs7-mime/g)).toHaveLength(1);
    expect(judge.asked).toHaveLength(2);
    expect((await all(client, 2))[0]).toBe(shell);
    expect(literalAfter(await client.command('UID FETCH 5 BODY.PEEK[]'), 'BODY[]')).toBe(
      OTHERS.toString('latin1'),
    );
    client.close();
  });

  test('a key that comes later opens it under a new UID', async () => {
    await proxyFor(dovecot.imapPort);
    const before = await session();
    await before.command(ALL);
    before.close();
    judge.says = 'may-open';
    await proxyFor(dovecot.imapPort, 'peek-first', true);
    const client = await session();
    await client.command('NOOP');
    const listing = await client.command(ALL);
    expect(listing).not.toContain('pkcs7-mime');
    expect(listing).toMatch(/UID 4 /);
    expect(listing).not.toMatch(/UID 2 /);
    client.close();
  });

  test('a mailbox with nothing new costs no question; a copy is asked for under its own UID', async () => {
    await proxyFor(dovecot.imapPort);
    const client = await session();
    await client.command(ALL);
    judge.says = 'may-open';
    await client.command('UID COPY 2 INBOX');
    const listing = await client.command(ALL);
    expect(judge.asked).toHaveLength(3);
    // The original stays, its copy is opened.
    expect(listing.match(/application\/pkcs7-mime/g)).toHaveLength(1);
    client.close();
  });
});

describe('a mail server that says what a test says', () => {
  let upstream: FakeUpstream;
  let client: ImapConversation;
  let server: ImapConversation;
  beforeEach(async () => {
    upstream = await FakeUpstream.start();
  });
  afterEach(async () => {
    client.close();
    await upstream.close();
  });

  async function begin(uidNext = 6): Promise<void> {
    const { port } = await proxyFor(upstream.port);
    ({ client, server } = await loggedIn(upstream, port, CAPABILITIES));
    client.send('s SELECT INBOX\r\n');
    await server.until(/s SELECT INBOX\r\n/);
    server.send(`* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT ${uidNext}] x\r\ns OK in\r\n`);
    await client.until(/s OK[^\r]*\r\n/);
  }

  async function answered(command: RegExp, ...answers: string[]): Promise<void> {
    const said = await server.until(/[^\r]*\r\n/);
    expect(said).toMatch(command);
    const tag = said.split(' ')[0] ?? '';
    server.send(answers.map((answer) => `${answer.replace('TAG', tag)}\r\n`).join(''));
  }

  const TYPE = literal('Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n');
  const typeOf = (msn: number, uid: number) =>
    `* ${msn} FETCH (UID ${uid} BODY[HEADER.FIELDS (CONTENT-TYPE)] ${TYPE})`;
  const LISTS = 'UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])';
  const beginning = (msn: number, uid: number, octets: number) =>
    `* ${msn} FETCH (BODY[TEXT]<0> ${literal('x'.repeat(octets))} UID ${uid} BODY[HEADER.FIELDS (CONTENT-TYPE CONTENT-TRANSFER-ENCODING)] ${TYPE})`;

  test('what arrives behind the question is shown opened, and stays that after a restart', async () => {
    await begin();
    client.send(`f ${LISTS}\r\n`);
    await answered(
      / UID FETCH 1:\* \(UID BODY\.PEEK\[HEADER\.FIELDS \(CONTENT-TYPE\)\]\)\r\n$/,
      typeOf(1, 5),
      'TAG OK',
    );
    await answered(
      / UID FETCH 5 \(UID BODY\.PEEK\[HEADER\.FIELDS \(CONTENT-TYPE CONTENT-TRANSFER-ENCODING\)\] BODY\.PEEK\[TEXT\]<0\.8192>\)\r\n$/,
      // In whatever order.
      beginning(1, 5, 8_192),
      'TAG OK',
    );
    await answered(/^f UID FETCH/, '* 2 EXISTS', typeOf(1, 5), typeOf(2, 8), 'f OK');
    const listing = await client.until(/f OK\r\n/);
    expect(listing).toMatch(
      /\* 1 FETCH \(UID 5 BODY\[HEADER\.FIELDS \(CONTENT-TYPE\)\] \{[0-9]+\}\r\nContent-Type: application/,
    );
    expect(listing).toMatch(
      /\* 2 FETCH \(UID 8 BODY\[HEADER\.FIELDS \(CONTENT-TYPE\)\] \{[0-9]+\}\r\nContent-Type: multipart\/mixed/,
    );
    client.close();
    await begin(9);
    client.send(`f ${LISTS}\r\n`);
    await answered(/ UID FETCH 6:\* /, typeOf(2, 8), 'TAG OK');
    await answered(/ UID FETCH 8 .*TEXT/, beginning(2, 8, 8_192), 'TAG OK');
    await answered(/^f UID FETCH/, typeOf(1, 5), typeOf(2, 8), 'f OK');
    expect(await client.until(/f OK\r\n/)).toMatch(
      /\* 2 FETCH \(UID 8 [^\r]*\r\nContent-Type: multipart\/mixed/,
    );
  });

  test('a client that names message numbers: nothing is asked in which a message may go, so that they mean the same behind it', async () => {
    const BY_NUMBER = 'FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])';
    await begin();
    client.send(`f ${BY_NUMBER}\r\n`);
    await answered(/^\S+ FETCH 1:\* \(UID BODY\.PEEK\[HEADER\.FIELDS/, typeOf(1, 5), 'TAG OK');
    await answered(/^\S+ FETCH 1 \(UID .*TEXT/, beginning(1, 5, 8_192), 'TAG OK');
    await answered(/^f FETCH 1:\*/, '* 3 EXISTS', typeOf(1, 5), 'f OK');
    expect(await client.until(/f OK\r\n/)).not.toContain('multipart/mixed');
    client.send(`f ${BY_NUMBER}\r\n`);
    await answered(/^\S+ SEARCH UID 6:\*\r\n/, '* SEARCH 2 3', 'TAG OK');
    await answered(/^\S+ FETCH 2:\* \(UID BODY/, typeOf(2, 8), typeOf(3, 9), 'TAG OK');
    await answered(/^\S+ FETCH 2:3 \(UID .*TEXT/, beginning(2, 8, 100), beginning(3, 9, 8_192), 'TAG OK');
    await answered(/^f FETCH 1:\*/, typeOf(1, 5), typeOf(2, 8), typeOf(3, 9), 'f OK');
    expect((await client.until(/f OK\r\n/)).match(/multipart\/mixed/g)).toHaveLength(1);
    client.send('s SEARCH BODY words\r\n');
    await answered(/^\S+ SEARCH /, '* SEARCH', 'TAG OK');
  });

  test.each([
    ['does not answer the question', ['TAG NO not now']],
    ['leaves a message out', ['TAG OK']],
    ['answers for another message', [beginning(2, 6, 8_192), 'TAG OK']],
    ['says more than was asked for', [beginning(1, 5, 9_000), 'TAG OK']],
    ['says nothing of it', ['* 1 FETCH (UID 5 BODY[TEXT]<0> NIL)', 'TAG OK']],
  ])('a mail server that %s: the message is shown opened, for good', async (_, answers) => {
    await begin();
    client.send(`f ${LISTS}\r\n`);
    await answered(/ UID FETCH 1:\* /, typeOf(1, 5), 'TAG OK');
    await answered(/ UID FETCH 5 .*TEXT/, ...answers);
    await answered(/^f UID FETCH/, typeOf(1, 5), 'f OK');
    expect(await client.until(/f OK\r\n/)).toContain('multipart/mixed');
    expect(judge.asked).toEqual([]);
    client.close();
    // Asked again at most, and without consequence.
    await begin();
    client.send(`f ${LISTS}\r\n`);
    if (answers[0] === 'TAG NO not now') {
      await answered(/ UID FETCH 1:\* /, typeOf(1, 5), 'TAG OK');
      await answered(/ UID FETCH 5 .*TEXT/, beginning(1, 5, 8_192), 'TAG OK');
    }
    await answered(/^f UID FETCH/, typeOf(1, 5), 'f OK');
    expect(await client.until(/f OK\r\n/)).toContain('multipart/mixed');
  });

  test('a connection that breaks in the middle of the questions: the next session goes on with what is left', async () => {
    await begin();
    client.send(`f ${LISTS}\r\n`);
    const types = Array.from({ length: 150 }, (_, at) => typeOf(at + 1, at + 1));
    await answered(/ UID FETCH 1:\* /, ...types, 'TAG OK');
    await answered(/ UID FETCH 1:100 .*TEXT/, beginning(1, 1, 8_192), 'TAG OK');
    await server.until(/ UID FETCH 101:150 [^\r]*\r\n/);
    server.socket.destroy();
    await client.rest();
    await begin(151);
    client.send(`f ${LISTS}\r\n`);
    await answered(/ UID FETCH 101:\* /, 'TAG OK');
    await answered(/^f UID FETCH/, typeOf(1, 1), typeOf(2, 2), 'f OK');
    const listing = await client.until(/f OK\r\n/);
    expect(listing).toMatch(/\* 1 FETCH [^\r]*\r\nContent-Type: application/);
    expect(listing).toMatch(/\* 2 FETCH [^\r]*\r\nContent-Type: multipart/);
  });
});

function headerOf(message: Buffer): number {
  return message.indexOf('\r\n\r\n') + 4;
}

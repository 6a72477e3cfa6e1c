import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import type { SearchText } from '../../src/reading/search-text.ts';
import { SearchTexts } from '../../src/reading/search-texts.ts';
import type { Card } from './support/card.ts';
import { Identities, KeptMail } from './support/kept-mail.ts';
import { imap, ORIGINAL, shown } from './support/readers.ts';

/** What was opened is kept for later sessions, with a real database and real keys on cards that are not. */

const BOB = 'bob@example.org';
const CAROL = 'carol@example.org';

let identities: Identities;
beforeAll(() => {
  identities = new Identities();
});
afterAll(() => identities.remove());

let mail: KeptMail;
let card: Card;
beforeEach(async () => {
  mail = await KeptMail.begin(identities);
  card = mail.card(BOB, 'bob');
  await mail.start();
});
afterEach(() => mail.end());

/** Reads a message in a session of its own, and waits until what is kept of it is. */
async function read(login = BOB, message = imap(1), original = ORIGINAL) {
  const session = mail.session(login);
  const got = await shown(session, message, original);
  await mail.views.settled();
  session.end();
  return { got, events: session.events };
}

const large = (octets: number) =>
  `Content-Type: text/plain\r\n\r\n${'a line of the boathouse ledger\r\n'.repeat(Math.ceil(octets / 32))}`;
const roomFor = (text: string) => Buffer.concat([ORIGINAL, Buffer.alloc(text.length + 4096, 'QUJD\r\n')]);

describe('a mail that was opened once', () => {
  it('opens again in a later session by one use of the key, the same octet for octet', async () => {
    const { got } = await read();
    expect(mail.opened).toBe(1);
    await mail.restart();
    card.used = 0;
    const again = await read();
    expect(again.got).toEqual(got);
    expect(again.events.has('mail.reopened')).toBe(true);
    expect(mail.opened).toBe(1);
    expect(card.used).toBe(1);
  });

  it('and so do all others by that one use, as long as somebody reads', async () => {
    for (const uid of [1, 2, 3]) await read(BOB, imap(uid), Buffer.concat([ORIGINAL, Buffer.from([uid])]));
    await mail.restart();
    card.used = 0;
    const session = mail.session();
    for (const uid of [1, 2, 3])
      await shown(session, imap(uid), Buffer.concat([ORIGINAL, Buffer.from([uid])]));
    const other = mail.session();
    session.end();
    await shown(other, imap(2), Buffer.concat([ORIGINAL, Buffer.from([2])]));
    expect([mail.opened, card.used]).toEqual([3, 1]);
    other.end();
    await read();
    // Nobody was there: it was forgotten.
    expect(card.used).toBe(2);
  });

  it.each([0, 1, 64 * 1024 - 28, 64 * 1024, 64 * 1024 + 1, 3_000_000])(
    'of about %i octets',
    async (octets) => {
      mail.text = large(octets);
      const original = roomFor(mail.text);
      const { got } = await read(BOB, imap(1), original);
      await mail.restart();
      expect(await read(BOB, imap(1), original)).toMatchObject({ got });
      expect(mail.opened).toBe(1);
    },
  );

  it('keeps its protected header fields', async () => {
    mail.header = 'From: alice@example.org\r\nSubject: the hidden boathouse\r\n';
    const { got } = await read();
    await mail.restart();
    expect((await read()).got).toEqual(got);
    expect(got).toMatchObject({ octets: expect.stringContaining('the hidden boathouse') });
    expect(mail.opened).toBe(1);
  });

  it('opens at once as a copy, too, with the verdict of its original', async () => {
    const session = mail.session();
    await session.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
    await shown(session);
    await session.copied([1], { mailbox: 'Archive', uidValidity: 8, uids: [5] });
    await mail.views.settled();
    expect(await shown(session, imap(5, 'Archive', 8))).toMatchObject({
      octets: expect.stringContaining('boathouse'),
    });
    expect(mail.opened).toBe(1);
  });

  it('but is judged anew where nothing was said of it, as a copy made by another program is', async () => {
    await read();
    await read(BOB, imap(9));
    expect(mail.opened).toBe(2);
    expect(await mail.count('stored_content')).toBe(1);
  });

  it('is opened by its key where what is kept has gone', async () => {
    const { got } = await read();
    await mail.store.query({ sql: 'DELETE FROM stored_content', parameters: [] });
    expect((await read()).got).toEqual(got);
    expect(mail.opened).toBe(2);
    expect(await mail.count('stored_content')).toBe(1);
  });
});

describe('a card that is away', () => {
  it('opens nothing that it opened before, after a restart', async () => {
    await read();
    await mail.restart();
    card.takeOut();
    expect((await read()).got).toMatchObject({ code: 'UNAVAILABLE' });
    expect([mail.opened, card.used]).toEqual([1, 1]);
  });

  it('nor in a session that was reading when it was taken out, also when its PIN is not typed again', async () => {
    await read();
    const session = mail.session();
    expect(await shown(session)).toMatchObject({ octets: expect.stringContaining('boathouse') });
    card.takeOut();
    expect(session.cached(imap(1))).toBeNull();
    expect(await shown(session)).toMatchObject({ code: 'UNAVAILABLE' });
    card.insert('not-typed');
    card.used = 0;
    expect(await shown(session, imap(1), ORIGINAL, true)).toMatchObject({ code: 'UNAVAILABLE' });
    expect([card.prompts, card.used]).toEqual([0, 0]);
    await session.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
    expect((await session.wordedBefore('all')).size).toBe(0);
  });

  it('leaves nothing of the data key in memory', async () => {
    await read();
    const session = mail.session();
    await shown(session);
    card.takeOut();
    mail.watch.look();
    card.insert();
    card.used = 0;
    await shown(session);
    expect(card.used).toBe(1);
  });

  it('is not asked for its PIN to look into what is kept: the mail asks for it', async () => {
    await read();
    await mail.restart();
    card.takeOut();
    card.insert('not-typed');
    const { got } = await read();
    expect(got).toMatchObject({ octets: expect.stringContaining('boathouse') });
    expect([card.prompts, mail.opened]).toEqual([1, 2]);
  });

  it('a token that wants its PIN each time is asked for mail alone, and nothing of it is kept', async () => {
    card.asksEachTime = true;
    await read();
    await read();
    expect([card.prompts, mail.opened]).toEqual([2, 2]);
    expect([await mail.count('stored_content'), await mail.count('locked_key')]).toEqual([0, 0]);
  });

  it('is not replaced by another key of the same login', async () => {
    await read();
    const other = mail.card(BOB, 'file', 'rsa');
    card.takeOut();
    other.used = 0;
    expect((await read()).got).toMatchObject({ code: 'UNAVAILABLE' });
    expect(other.used).toBe(0);
  });
});

describe('nobody else', () => {
  it('gets at what is kept: another login with the very same message opens it with its own key', async () => {
    const hers = mail.card(CAROL, 'carol');
    await read();
    hers.takeOut();
    expect((await read(CAROL)).got).toMatchObject({ code: 'UNAVAILABLE' });
    hers.insert();
    await read(CAROL);
    expect(mail.opened).toBe(2);
    expect(await mail.count('stored_content')).toBe(2);
    expect(await mail.count('locked_key')).toBe(2);
  });

  it('gets at it in a shared mailbox, or through the same login at another mail server', async () => {
    await read();
    const elsewhere = mail.session(BOB, { account: 'mail.example.net' });
    await shown(elsewhere);
    expect(mail.opened).toBe(2);
  });

  it('reads a word of it in the file, with the secret of the installation or without', async () => {
    mail.text = large(100_000);
    await read(BOB, imap(1), roomFor(mail.text));
    await mail.stop();
    const octets = Buffer.concat([
      await readFile(mail.file),
      await readFile(`${mail.file}-wal`).catch(() => Buffer.alloc(0)),
    ]);
    for (const word of ['boathouse', 'alice', 'INBOX', 'example.org']) {
      expect(octets.includes(word)).toBe(false);
    }
    await mail.start();
  });

  it('opens it with the secret and the file, and another key', async () => {
    await read();
    const stolen = mail.card(CAROL, 'thief');
    // Everything but the private key: the thief's key stands in the place of the reader's.
    mail.cards.set(BOB, [stolen]);
    await mail.restart();
    stolen.takeOut();
    expect((await read()).got).toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('what was changed in the file', () => {
  const change = (sql: string) => mail.store.query({ sql, parameters: [] });

  it.each([
    ['another login’s', 'reader'],
    ['another message’s', 'message'],
  ])('%s content in the place of one is not shown', async (_, which) => {
    if (which === 'reader') mail.card(CAROL, 'carol');
    const other = Buffer.concat([ORIGINAL, Buffer.from('other')]);
    await read();
    mail.text = large(100);
    if (which === 'reader') await read(CAROL);
    else await read(BOB, imap(2), other);
    await change(
      `UPDATE stored_piece SET sealed = (SELECT sealed FROM stored_piece WHERE content = 2) WHERE content = 1`,
    );
    await change('UPDATE stored_content SET length = (SELECT length FROM stored_content WHERE id = 2)');
    mail.text = 'Content-Type: text/plain\r\n\r\nthe boathouse key\r\n';
    expect((await read()).got).toMatchObject({ octets: expect.stringContaining('the boathouse key') });
    expect(mail.opened).toBe(3);
  });

  it('a row that was given to another login, or to another message, opens nothing', async () => {
    mail.card(CAROL, 'carol');
    await read();
    await read(CAROL);
    await change(
      'UPDATE stored_content SET reader = (SELECT reader FROM stored_content WHERE id = 2), key = (SELECT key FROM stored_content WHERE id = 2) WHERE id = 1',
    );
    await change('DELETE FROM stored_content WHERE id = 2');
    await read(CAROL);
    expect(mail.opened).toBe(3);
  });

  it('or cut, or put in another order: opened by the key, and kept anew', async () => {
    mail.text = large(4 * 65_536);
    const original = roomFor(mail.text);
    const { got } = await read(BOB, imap(1), original);
    let opened = 1;
    for (const sql of [
      'DELETE FROM stored_piece WHERE number = 2',
      'DELETE FROM stored_piece WHERE number >= 2',
      'UPDATE stored_piece SET sealed = substr(sealed, 1, 100) WHERE number = 1',
      'UPDATE stored_piece SET number = 99 WHERE number = 0',
      'UPDATE stored_content SET length = length - 70000',
      'UPDATE stored_content SET length = 10',
      "UPDATE stored_piece SET sealed = x'00'",
      'UPDATE stored_piece SET sealed = (SELECT sealed FROM stored_piece WHERE number = 2) WHERE number = 1',
    ]) {
      await change(sql);
      expect((await read(BOB, imap(1), original)).got).toEqual(got);
      expect([sql, mail.opened]).toEqual([sql, ++opened]);
      expect((await read(BOB, imap(1), original)).got).toEqual(got);
      expect([sql, mail.opened]).toEqual([sql, opened]);
    }
  });

  it('a key that was wrapped for somebody else is none', async () => {
    mail.card(CAROL, 'carol');
    await read();
    await read(CAROL);
    await mail.restart();
    await change('UPDATE locked_key SET wrapped = (SELECT max(wrapped) FROM locked_key)');
    await read();
    await read(CAROL);
    expect(mail.opened).toBe(3);
    expect(await mail.count('locked_key')).toBe(2);
  });

  it('a content that was put back from a former time is shown only if it is what was shown', async () => {
    await read();
    mail.text = large(50);
    // The same message, opened otherwise: as from another version, or another time.
    await change('DELETE FROM stored_content');
    await read(BOB, imap(2));
    mail.text = 'Content-Type: text/plain\r\n\r\nthe boathouse key\r\n';
    expect((await read()).got).toMatchObject({ octets: expect.stringContaining('the boathouse key') });
    expect(mail.opened).toBe(3);
  });

  it('or cannot be read at all: the mail is opened by its key', async () => {
    await read();
    await change('DROP TABLE stored_content');
    expect((await read()).got).toMatchObject({ octets: expect.stringContaining('boathouse') });
    expect(mail.events('view.store-unavailable')).toBeGreaterThan(0);
  });
});

describe('keys that go', () => {
  it('for good take along what they have opened', async () => {
    const next = mail.card(BOB, 'next');
    await read();
    mail.cards.set(BOB, [next]);
    await mail.restart();
    const session = mail.session();
    await shown(session, imap(2));
    await mail.views.settled();
    const [row] = await mail.store.query({ sql: 'SELECT count(*) AS n FROM locked_key', parameters: [] });
    expect(row?.n).toBe(1);
  });

  it('because they were revoked unlock nothing, and lose what they have opened', async () => {
    await read();
    mail.revoked.add(card.key.certificate.fingerprint);
    await mail.restart();
    await read();
    expect(mail.opened).toBe(2);
    expect([await mail.count('stored_content'), await mail.count('locked_key')]).toEqual([0, 0]);
  });

  it('of logins that are no longer configured leave nothing behind', async () => {
    mail.card(CAROL, 'carol');
    await read();
    await read(CAROL);
    await mail.views.keepOnly([{ account: 'mail.example.org', login: CAROL }]);
    expect([await mail.count('stored_content'), await mail.count('stored_piece')]).toEqual([1, 1]);
    await read(CAROL);
    expect(mail.opened).toBe(2);
  });

  it('a login for which nothing is to be kept has nothing there', async () => {
    await mail.restart({ logins: [CAROL] });
    await read();
    expect(await mail.count('stored_content')).toBe(0);
  });
});

describe('the quota', () => {
  it('takes what was not read for the longest time', async () => {
    mail.text = large(10_000);
    await mail.restart({ maxOctets: 45_000 });
    const message = (uid: number) => roomFor(`${mail.text}${' '.repeat(uid)}`);
    for (const uid of [1, 2, 3, 4, 5, 6]) {
      await read(BOB, imap(uid), message(uid));
      await mail.store.query({
        sql: `UPDATE stored_content SET used_at = ${uid} WHERE id = ${uid}`,
        parameters: [],
      });
    }
    const [row] = await mail.store.query({
      sql: 'SELECT total(octets) AS octets, min(id) AS least, count(*) AS n FROM stored_content',
      parameters: [],
    });
    expect(Number(row?.octets)).toBeLessThanOrEqual(45_000);
    expect(Number(row?.least)).toBeGreaterThan(1);
    expect(await mail.count('stored_piece')).toBe(row?.n);
  });

  it('is not spent on one mail', async () => {
    mail.text = large(60_000);
    await mail.restart({ maxOctets: 200_000 });
    await read(BOB, imap(1), roomFor(mail.text));
    expect(await mail.count('stored_content')).toBe(0);
  });
});

it('attack on the disk: pages of the file that are damaged keep no gateway from its start', async () => {
  mail.text = large(200_000);
  for (const uid of [1, 2, 3]) await read(BOB, imap(uid), roomFor(`${mail.text}${' '.repeat(uid)}`));
  await mail.store.query({ sql: 'UPDATE stored_content SET is_whole = 0', parameters: [] });
  await mail.stop();
  const octets = await readFile(mail.file);
  // The first page and the schema behind it stay.
  await writeFile(mail.file, octets.fill(0xee, 16 * 4096));
  await mail.start();
  await read(BOB, imap(1), roomFor(`${mail.text} `));
  await mail.restart();
  const opened = mail.opened;
  await read(BOB, imap(1), roomFor(`${mail.text} `));
  expect(mail.opened).toBe(opened);
});

it('what was half written when the gateway was killed is gone at the next start', async () => {
  await read();
  await mail.store.query({ sql: 'UPDATE stored_content SET is_whole = 0', parameters: [] });
  await mail.restart();
  expect([await mail.count('stored_content'), await mail.count('stored_piece')]).toEqual([0, 0]);
});

describe('words', () => {
  const opened = async (uid: number, text: string) => {
    mail.text = `Content-Type: text/plain\r\n\r\n${text}\r\n`;
    const session = mail.session();
    await session.enter({ name: 'INBOX', uidValidity: 7, uidNext: 99, exists: 9 });
    const patience = { signal: new AbortController().signal, exhausted: new Map() };
    const { bufferSource } = await import('../../src/octets/buffer-source.ts');
    const original = roomFor(`${text}${' '.repeat(uid)}`);
    const got = await session.open(imap(uid), bufferSource(original), patience);
    if (got.kind !== 'view') throw new Error(got.reason.text);
    const texts = new SearchTexts();
    const kept = await texts.keep(imap(uid), got.view, { keys: got.keys ?? [] });
    if (kept !== null) await got.keepWords?.({ text: kept.text, protectedHeader: uid % 2 === 0 });
    got.release();
    texts.end();
    return session;
  };
  const found = async (session: ReturnType<KeptMail['session']>, isProtected: boolean) => {
    const all: [number, SearchText][] = [];
    for await (const each of session.wordsBefore(isProtected)) all.push(each);
    return all;
  };
  const later = async () => {
    await mail.restart();
    card.used = 0;
    const session = mail.session();
    await session.enter({ name: 'INBOX', uidValidity: 7, uidNext: 99, exists: 9 });
    return session;
  };

  it('are there in every later session, by one use of the key', async () => {
    for (const uid of [1, 2, 3]) (await opened(uid, `number ${uid} in the boathouse`)).end();
    const session = await later();
    expect(await session.wordedBefore('all')).toEqual(
      new Map([
        [1, false],
        [2, true],
        [3, false],
      ]),
    );
    expect((await found(session, false)).map(([uid, { body }]) => [uid, body.trim()])).toEqual([
      [1, 'number 1 in the boathouse'],
      [3, 'number 3 in the boathouse'],
    ]);
    expect((await found(session, true)).map(([uid]) => uid)).toEqual([2]);
    expect(card.used).toBe(1);
  });

  it('are not there without the card, and no key is used for nothing', async () => {
    (await opened(1, 'boathouse')).end();
    const session = await later();
    await session.enter({ name: 'Empty', uidValidity: 8, uidNext: 99, exists: 9 });
    expect((await session.wordedBefore('all')).size).toBe(0);
    await session.enter({ name: 'INBOX', uidValidity: 7, uidNext: 99, exists: 9 });
    expect((await session.wordedBefore('protected')).size).toBe(0);
    expect(card.used).toBe(0);
    expect((await session.wordedBefore('all')).size).toBe(1);
    card.takeOut();
    expect(await found(session, false)).toEqual([]);
    expect((await session.wordedBefore('all')).size).toBe(0);
  });

  it('follow a copy, and belong to nobody under another UIDVALIDITY', async () => {
    const session = await opened(1, 'boathouse');
    await session.copied([1], { mailbox: 'Archive', uidValidity: 8, uids: [5] });
    await session.enter({ name: 'Archive', uidValidity: 8, uidNext: 99, exists: 9 });
    expect([...(await session.wordedBefore('all')).keys()]).toEqual([5]);
    await session.enter({ name: 'Archive', uidValidity: 9, uidNext: 99, exists: 9 });
    expect((await session.wordedBefore('all')).size).toBe(0);
  });

  it('are never found under another message’s name, whatever was changed in the file', async () => {
    const [boat, tree] = [
      [1, 'boathouse'],
      [3, 'treehouse'],
    ] as const;
    for (const sql of [
      'UPDATE stored_place SET uid = uid + 10',
      "UPDATE stored_place SET mark = x'00'",
      'UPDATE stored_place SET message = (SELECT max(message) FROM stored_place)',
      "UPDATE stored_words SET sealed = x'00'",
      'UPDATE stored_words SET header = 1 - header',
      'UPDATE stored_words SET sealed = (SELECT max(sealed) FROM stored_words)',
    ]) {
      await mail.store.query({ sql: 'DELETE FROM stored_content', parameters: [] });
      for (const [uid, text] of [boat, tree]) (await opened(uid, text)).end();
      const session = mail.session();
      await session.enter({ name: 'INBOX', uidValidity: 7, uidNext: 99, exists: 9 });
      await session.wordedBefore('all');
      expect((await found(session, false)).length).toBe(2);
      await mail.store.query({ sql, parameters: [] });
      const all = [...(await found(session, false)), ...(await found(session, true))];
      expect([sql, all.length < 2]).toEqual([sql, true]);
      for (const [uid, { body }] of all) expect(body.trim()).toBe(uid === 1 ? 'boathouse' : 'treehouse');
      session.end();
    }
  });

  it('of more messages than are looked at in one turn', async () => {
    const many = limits.storedViews.scannedAtOnce + 3;
    for (let at = 0; at < many; at++) (await opened(2 * at + 1, `number ${at}`)).end();
    const session = await later();
    await session.wordedBefore('all');
    expect((await found(session, false)).length).toBe(many);
  });

  it('of more messages than are listed at a time are all there', async () => {
    await opened(2, 'the boathouse');
    await mail.store.query({
      sql: `WITH RECURSIVE uid (n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM uid WHERE n < 2 * ${limits.storedViews.listedAtOnce} + 10)
            INSERT INTO stored_place SELECT reader, mailbox, n, message, mark FROM stored_place, uid`,
      parameters: [],
    });
    const session = mail.session();
    await session.enter({ name: 'INBOX', uidValidity: 7, uidNext: null, exists: 99_999 });
    const uids = [...(await session.wordedBefore('all')).keys()].sort((a, b) => a - b);
    expect(uids).toHaveLength(2 * limits.storedViews.listedAtOnce + 9);
    expect([uids[0], uids.at(-1)]).toEqual([2, 2 * limits.storedViews.listedAtOnce + 10]);
  });
});

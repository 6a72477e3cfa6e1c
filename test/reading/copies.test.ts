import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { RecordedMailboxes } from '../../src/reading/recorded-mailbox.ts';
import { openSqlite, type SqlStore, sql } from '../../src/store/sqlite.ts';
import { viewMigrations } from '../../src/store/view-migrations.ts';
import { SqliteViewRecords } from '../../src/store/view-records.ts';
import { imap, NO_KEY, openedAs, reader, SaysAnything, shown, TEXT } from './support/readers.ts';

/** Copies of messages that cannot be shown any more as they were shown: the way out that people are told of. */

const INBOX = { name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 };
const ARCHIVE = { mailbox: 'Archive', uidValidity: 3 };

let folder: string;
let store: SqlStore;
let story: SaysAnything;
let recorded: RecordedMailboxes;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-views-'));
  store = await openSqlite(join(folder, 'views.sqlite'), viewMigrations);
  recorded = new RecordedMailboxes(new SqliteViewRecords(store));
  story = new SaysAnything();
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

async function session(enter = INBOX) {
  const views = reader(story, { recorded });
  await views.enter(enter);
  return views;
}

it('a view that comes out differently is shown under the UID of a copy', async () => {
  await shown(await session());
  story.says = openedAs(TEXT.replace('boat', 'tree'));
  const views = await session();
  expect(await shown(views)).toMatchObject({ code: 'SERVERBUG' });
  await views.copied([1], { ...ARCHIVE, uids: [11] });
  expect(await shown(await session(), imap(11, 'Archive', 3))).toMatchObject({
    octets: expect.stringContaining('treehouse'),
  });
});

it('what listings have said of a copy that nobody has opened stays, though its key is gone', async () => {
  story.says = openedAs(TEXT, 'trusted', 'Subject: the hidden boathouse\r\n');
  const first = await shown(await session());
  const views = await session();
  await views.copied([1], { ...ARCHIVE, uids: [11] });
  const copy = imap(11, 'Archive', 3);
  const archive = { name: 'Archive', uidValidity: 3, uidNext: 12, exists: 1 };
  const later = await session(archive);
  await later.recall(copy);
  expect(later.shownHeader(copy)).toEqual('header' in first ? first.header : null);
  story.says = NO_KEY;
  const without = await session(archive);
  expect(await shown(without, copy)).toMatchObject({ code: 'UNAVAILABLE' });
  expect(without.shownHeader(copy)).toEqual(later.shownHeader(copy));
  story.says = openedAs(TEXT, 'trusted', 'Subject: the hidden boathouse\r\n');
  expect(await shown(await session(archive), copy)).toMatchObject({
    octets: expect.stringContaining('the hidden boathouse'),
  });
  // Of one of which listings say what they say of all, nothing was said.
  story.says = openedAs();
  await shown(await session(), imap(2));
  await (await session()).copied([2], { ...ARCHIVE, uids: [12] });
  story.says = NO_KEY;
  expect(await shown(await session(archive), imap(12, 'Archive', 3))).toMatchObject({
    octets: expect.any(String),
  });
});

it('a record that cannot be read does not keep those of other messages from going with their copies', async () => {
  for (const uid of [1, 2, 3]) await shown(await session(), imap(uid));
  await store.query(sql`UPDATE view_record SET sealed = x'00' WHERE message = '2'`);
  story.says = openedAs(TEXT, 'untrusted');
  const views = await session();
  expect(await shown(views, imap(2))).toMatchObject({ code: 'SERVERBUG' });
  await views.copied([1, 2, 3], { ...ARCHIVE, uids: [11, 12, 13] });
  const verdicts = ['verdict=trusted', 'verdict=untrusted', 'verdict=trusted'];
  for (const [at, verdict] of verdicts.entries()) {
    expect(await shown(await session(), imap(11 + at, 'Archive', 3))).toMatchObject({
      octets: expect.stringContaining(verdict),
    });
  }
});

it('what messages were before keys came is written down by the next session, if it could not be by the first', async () => {
  const records = new SqliteViewRecords(store);
  let failing = true;
  const shared = new RecordedMailboxes(
    new Proxy(records, {
      get: (target, name) =>
        name === 'setEras' && failing
          ? async () => {
              throw new SealgateError({
                code: 'store.unavailable',
                publicText: 'Not now.',
                duration: 'temporary',
              });
            }
          : Reflect.get(target, name).bind(target),
    }),
  );
  const [first, second] = [0, 1].map(() => reader(story, { recorded: shared, hasKeys: false }));
  await first?.enter(INBOX);
  failing = false;
  await second?.enter(INBOX);
  const later = reader(story, { recorded: new RecordedMailboxes(records) });
  await later.enter(INBOX);
  expect(later.kindOf('encrypted', imap(1))).toBe('identity');
  expect(later.kindOf('encrypted', imap(9))).toBe('shell');
});

it('two processes on one database agree, also where one of them has listed the mailbox before', async () => {
  const second = await openSqlite(join(folder, 'views.sqlite'), viewMigrations);
  try {
    const other = new SaysAnything();
    other.says = openedAs(TEXT, 'untrusted');
    const theirs = reader(other, { recorded: new RecordedMailboxes(new SqliteViewRecords(second)) });
    await theirs.enter(INBOX);
    expect(theirs.recorded(imap(1))).toBeNull();
    const first = await shown(await session());
    expect(first).toMatchObject({ octets: expect.stringContaining('verdict=trusted') });
    expect(await shown(theirs)).toEqual(first);
  } finally {
    await second.close();
  }
});

it('a database that cannot be written costs a refusal for now, and nothing else', async () => {
  const views = await session();
  const readOnly = await openSqlite(join(folder, 'views.sqlite'), viewMigrations);
  try {
    await readOnly.query(sql`PRAGMA query_only = ON`);
    const theirs = reader(story, { recorded: new RecordedMailboxes(new SqliteViewRecords(readOnly)) });
    await theirs.enter(INBOX);
    expect(await shown(theirs)).toMatchObject({ code: 'UNAVAILABLE' });
    await readOnly.query(sql`PRAGMA query_only = OFF`);
    expect(await shown(theirs)).toEqual(await shown(views));
  } finally {
    await readOnly.close();
  }
});

it('records that were made for a mailbox that was gone by then are gone at the next start', async () => {
  await shown(await session());
  const [mailbox] = await store.query(sql`SELECT id FROM view_mailbox`);
  const stale = Number(mailbox?.id) + 5;
  await store.query(
    sql`INSERT INTO view_record SELECT ${stale}, message, kind, version, size, header, sha256, served, sealed, 0 FROM view_record`,
  );
  await new SqliteViewRecords(store).cleaned();
  const rows = await store.query(sql`SELECT DISTINCT mailbox FROM view_record`);
  expect(rows.map((row) => Number(row.mailbox))).toEqual([Number(mailbox?.id)]);
});

it('a mailbox with very many records has all of them at hand', async () => {
  await shown(await session());
  const [mailbox] = await store.query(sql`SELECT id FROM view_mailbox`);
  await store.query(
    sql`WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 11000)
        INSERT INTO view_record SELECT ${Number(mailbox?.id)}, i, 'opened', 1, NULL, 0, NULL, 1, x'00', 0 FROM n`,
  );
  const again = new RecordedMailboxes(new SqliteViewRecords(store));
  const views = reader(story, { recorded: again });
  await views.enter(INBOX);
  const known = Array.from({ length: 11_001 }, (_, at) => views.recorded(imap(at + 1)));
  expect(known.filter((each) => each === 'shell')).toHaveLength(11_000);
  expect(known.at(-1)).toBeNull();
});

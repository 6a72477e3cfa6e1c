import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { usualReading } from '../../src/reading/reading-settings.ts';
import { RecordedMailboxes } from '../../src/reading/recorded-mailbox.ts';
import { openSqlite, type SqlStore, sql } from '../../src/store/sqlite.ts';
import { viewMigrations } from '../../src/store/view-migrations.ts';
import { SqliteViewRecords } from '../../src/store/view-records.ts';
import {
  AWAY,
  imap,
  NO_KEY,
  ORIGINAL,
  openedAs,
  reader,
  SaysAnything,
  shown,
  TEXT,
} from './support/readers.ts';

/** What was said of a message stays, over sessions and restarts, with a real database. */

let folder: string;
let store: SqlStore;
let records: SqliteViewRecords;
let recorded: RecordedMailboxes;
let story: SaysAnything;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-views-'));
  await start();
  story = new SaysAnything();
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

async function start(): Promise<void> {
  store = await openSqlite(join(folder, 'views.sqlite'), viewMigrations);
  records = new SqliteViewRecords(store);
  recorded = new RecordedMailboxes(records);
}

async function restart(): Promise<void> {
  await store.close();
  await start();
}

const session = (login?: string) => reader(story, { recorded, ...(login === undefined ? {} : { login }) });

async function count(table: 'view_record' | 'view_mailbox' | 'view_gone'): Promise<number> {
  await records.cleaned();
  const [row] = await store.query({ sql: `SELECT count(*) AS n FROM ${table}`, parameters: [] });
  return Number(row?.n);
}

const PROTECTED = 'From: alice@example.org\r\nSubject: the hidden boathouse\r\n';

describe('case 37: after a restart', () => {
  it('a view is the same, octet for octet, also when its signer was revoked since', async () => {
    const first = await shown(session());
    await restart();
    story.says = openedAs(TEXT, 'untrusted');
    const later = session();
    expect(await shown(later)).toEqual(first);
    expect(story.asked).toBe(2);
    expect(later.events.has('view.differs')).toBe(false);
  });

  it('a view that comes out differently is not served, and the log says so', async () => {
    await shown(session());
    await restart();
    story.says = openedAs(TEXT.replace('boat', 'tree'));
    const later = session();
    expect(await shown(later)).toMatchObject({
      code: 'SERVERBUG',
      text: expect.stringMatching(/another folder/),
    });
    expect(later.events.has('view.differs')).toBe(true);
    expect(await shown(later, imap(2))).toMatchObject({ octets: expect.stringContaining('treehouse') });
  });

  it('one that another renderer made is served where this one makes the same, and needs a new UID where not', async () => {
    const first = await shown(session());
    await shown(session(), imap(2));
    await store.query(sql`UPDATE view_record SET version = 0`);
    await store.query(sql`UPDATE view_record SET sha256 = ${Buffer.alloc(32)} WHERE message = '2'`);
    await restart();
    const later = session();
    await later.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
    expect(await shown(later)).toEqual(first);
    expect(await later.outdated()).toEqual([]);
    expect(await shown(later, imap(2))).toMatchObject({ code: 'UNAVAILABLE', text: /another version/ });
    expect(later.events.events).toContainEqual(expect.objectContaining({ reason: 'view.outdated' }));
    await restart();
    const last = session();
    await last.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
    expect(await last.outdated()).toEqual([2]);
    expect(await shown(last, imap(2))).toMatchObject({ code: 'UNAVAILABLE' });
    await last.copied([2], { mailbox: 'INBOX', uidValidity: 7, uids: [5] });
    expect(await shown(last, imap(5))).toMatchObject({ octets: expect.stringContaining('boathouse') });
    expect(await last.outdated()).toEqual([2]);
  });

  it('one that is made otherwise now needs an epoch of its mailbox, where its messages get no new UIDs', async () => {
    await shown(session());
    await store.query(sql`UPDATE view_record SET version = 0, sha256 = ${Buffer.alloc(32)}`);
    await restart();
    const needed: string[] = [];
    recorded = new RecordedMailboxes(records, async (_, mailbox) => void needed.push(mailbox));
    expect(await shown(session())).toMatchObject({ code: 'UNAVAILABLE' });
    expect(needed).toEqual(['INBOX']);
    // In the next one it is judged anew.
    expect(await shown(session(), imap(1, 'INBOX', 8))).toMatchObject({
      octets: expect.stringContaining('boathouse'),
    });
  });

  it('listings agree with what was shown, before anything is opened', async () => {
    story.says = openedAs(TEXT, 'trusted', PROTECTED);
    const { header } = (await shown(session())) as { header: unknown };
    await restart();
    const later = session();
    await later.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
    expect(later.recorded(imap(1))).toBe('shell');
    expect(later.recorded(imap(2))).toBeNull();
    expect(later.recall(imap(2))).toBeNull();
    await later.recall(imap(1));
    expect(later.shownHeader(imap(1))).toEqual(header);
    expect(later.shownHeader(imap(1))?.envelope).toContain('the hidden boathouse');
    expect(story.asked).toBe(1);
  });
});

describe('what cannot be opened', () => {
  it('for now leaves nothing behind', async () => {
    story.says = AWAY;
    expect(await shown(session())).toMatchObject({ code: 'UNAVAILABLE' });
    expect(await count('view_record')).toBe(0);
    story.says = openedAs();
    expect(await shown(session())).toMatchObject({ octets: expect.stringContaining('boathouse') });
  });

  it('and was shown so stays so under its UID without being asked for, and is opened under another one', async () => {
    story.says = NO_KEY;
    const first = await shown(session());
    await restart();
    story.says = openedAs();
    const later = session();
    await later.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
    expect(await shown(later)).toEqual(first);
    expect(story.asked).toBe(1);
    expect(await later.servedWithoutKey()).toEqual([1]);
    await later.copied([1], { mailbox: 'INBOX', uidValidity: 7, uids: [5] });
    expect(await shown(later, imap(5))).toMatchObject({ octets: expect.stringContaining('boathouse') });
  });

  it('and was only looked into by a search may be opened later', async () => {
    story.says = NO_KEY;
    const views = session();
    await shown(views, imap(1), ORIGINAL, true);
    expect(await views.servedWithoutKey()).toEqual([]);
    expect(views.cached(imap(1))).toBeNull();
    await restart();
    story.says = openedAs();
    const first = await shown(session());
    expect(first).toMatchObject({ octets: expect.stringContaining('boathouse') });
    story.says = openedAs(TEXT, 'untrusted');
    expect(await shown(session())).toEqual(first);
  });

  it('and was opened once is refused, never shown as something else', async () => {
    await shown(session());
    await restart();
    story.says = NO_KEY;
    expect(await shown(session())).toMatchObject({ code: 'UNAVAILABLE' });
    story.says = openedAs();
    expect(await shown(session())).toMatchObject({ octets: expect.stringContaining('boathouse') });
  });
});

it('sessions that open a message at once agree, whatever each was told', async () => {
  const verdicts = ['trusted', 'untrusted', 'untrusted', 'trusted'] as const;
  const all = await Promise.all(
    verdicts.map((verdict) => {
      const each = new SaysAnything();
      each.says = openedAs(TEXT, verdict);
      return shown(reader(each, { recorded }));
    }),
  );
  expect(new Set(all.map((each) => JSON.stringify(each))).size).toBe(1);
  expect(all[0]).toHaveProperty('octets');
});

it('a message that is opened still when its session goes to another mailbox takes nothing from that one', async () => {
  await shown(session(), imap(4, 'Work'));
  const views = session();
  await views.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
  const late = Promise.withResolvers<void>();
  const slow = reader({ open: async () => late.promise.then(() => openedAs()) }, { recorded });
  await slow.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
  const opening = shown(slow);
  await slow.enter({ name: 'Work', uidValidity: 7, uidNext: 9, exists: 3 });
  late.resolve();
  expect(await opening).toHaveProperty('octets');
  expect(slow.recorded(imap(4, 'Work'))).toBe('shell');
  expect(views.recorded(imap(1))).toBe('shell');
});

it('a session that has ended holds no mailbox, also when a message was being opened then', async () => {
  let entered = 0;
  const counted = new RecordedMailboxes(
    new Proxy(records, {
      get: (target, name) =>
        name === 'mailbox'
          ? (place: Parameters<SqliteViewRecords['mailbox']>[0]) => {
              entered++;
              return target.mailbox(place);
            }
          : Reflect.get(target, name).bind(target),
    }),
  );
  const late = Promise.withResolvers<void>();
  const slow = reader({ open: async () => late.promise.then(() => openedAs()) }, { recorded: counted });
  await slow.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
  const opening = shown(slow);
  const other = reader(story, { recorded: counted });
  await shown(other, imap(2));
  expect(entered).toBe(1);
  other.end();
  slow.end();
  late.resolve();
  expect(await opening).toHaveProperty('octets');
  expect(slow.cached(imap(1))).toBeNull();
  const before = entered;
  await shown(reader(story, { recorded: counted }), imap(1));
  expect(entered).toBe(before + 1);
});

it('without records nothing new is opened, and what this session has opened it still shows', async () => {
  const views = session();
  const first = await shown(views);
  await store.close();
  expect(await shown(views)).toEqual(first);
  expect(await shown(views, imap(2))).toMatchObject({ code: 'UNAVAILABLE' });
  expect(views.events.has('view.records-unavailable')).toBe(true);
  await start();
});

describe('records', () => {
  it('follow a copy: what was said is said of it too, and it gets octets of its own', async () => {
    story.says = openedAs(TEXT, 'trusted', PROTECTED);
    const views = session();
    await views.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
    const first = (await shown(views)) as { octets: string };
    await views.copied([1, 2], { mailbox: 'Archive', uidValidity: 3, uids: [11, 12] });
    story.says = openedAs(TEXT, 'untrusted', PROTECTED);
    const archive = session();
    await archive.enter({ name: 'Archive', uidValidity: 3, uidNext: 13, exists: 2 });
    expect(archive.recorded(imap(12, 'Archive', 3))).toBeNull();
    await archive.recall(imap(11, 'Archive', 3));
    expect(archive.shownHeader(imap(11, 'Archive', 3))?.envelope).toContain('boathouse');
    const copy = (await shown(archive, imap(11, 'Archive', 3))) as { octets: string };
    const bare = (text: string) => text.replaceAll(/=_sealgate_[a-z2-7]{26}/g, '');
    expect(copy.octets).not.toBe(first.octets);
    expect(bare(copy.octets)).toBe(bare(first.octets));
    await restart();
    expect(await shown(session(), imap(11, 'Archive', 3))).toMatchObject({ octets: copy.octets });
  });

  it('follow a rename, of the mailbox and of what it is in', async () => {
    const first = await shown(session(), imap(1, 'Work/Old'));
    story.says = openedAs(TEXT, 'untrusted');
    await session().renamed('Work', 'Home', '/');
    expect(await shown(session(), imap(1, 'Home/Old'))).toEqual(first);
    expect(await count('view_mailbox')).toBe(1);
  });

  it('are found by the id of a mailbox, whatever its name, and by its name before the id was known', async () => {
    const first = await shown(session(), imap(1, 'Work'));
    story.says = openedAs(TEXT, 'untrusted');
    expect(await shown(session(), { ...imap(1, 'Work'), mailboxId: 'F1' })).toEqual(first);
    expect(await shown(session(), { ...imap(1, 'Renamed'), mailboxId: 'F1' })).toEqual(first);
    expect(await shown(session(), imap(1, 'Renamed'))).toEqual(first);
    expect(await count('view_mailbox')).toBe(1);
  });

  it('vanish with their mailbox', async () => {
    const first = await shown(session(), imap(1, 'Work'));
    await session().deleted('Work');
    expect([await count('view_record'), await count('view_mailbox'), await count('view_gone')]).toEqual([
      0, 0, 0,
    ]);
    story.says = openedAs(TEXT, 'untrusted');
    expect(await shown(session(), imap(1, 'Work'))).not.toEqual(first);
  });

  it('vanish with another UIDVALIDITY, thousands of them too', async () => {
    const views = session();
    await shown(views);
    const [mailbox] = await store.query(sql`SELECT id FROM view_mailbox`);
    await store.query(
      sql`WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
          INSERT INTO view_record SELECT ${Number(mailbox?.id)}, i, 'opened', 1, NULL, 0, NULL, 1, x'00', 0 FROM n`,
    );
    views.end();
    await shown(session(), imap(1, 'INBOX', 8));
    expect(await count('view_record')).toBe(1);
    expect(await count('view_gone')).toBe(0);
  });

  it('stay for a session that has the former UIDVALIDITY selected, and it takes nothing from the others', async () => {
    const former = session();
    const first = await shown(former);
    const other = session();
    await other.enter({ name: 'INBOX', uidValidity: 7, uidNext: 9, exists: 3 });
    const present = session();
    const second = await shown(present, imap(1, 'INBOX', 8));
    expect(await shown(former)).toEqual(first);
    expect(await shown(other)).toEqual(first);
    present.end();
    other.end();
    former.end();
    // Somebody who comes late.
    story.says = openedAs(TEXT, 'untrusted');
    const late = session();
    await shown(late, imap(2));
    late.end();
    await restart();
    expect(await shown(session(), imap(1, 'INBOX', 8))).toEqual(second);
  });

  it('are nobody else’s: another login and another mail server have their own', async () => {
    story.says = openedAs(TEXT, 'trusted');
    const first = (await shown(session())) as { octets: string };
    story.says = openedAs(TEXT, 'untrusted');
    for (const other of [
      session('carol@example.org'),
      reader(story, { recorded, account: 'other.example' }),
    ]) {
      const theirs = (await shown(other)) as { octets: string };
      expect(theirs.octets).toContain('verdict=untrusted');
      expect(theirs.octets).not.toBe(first.octets);
    }
  });

  it('tell nobody who reads the database what was in the mail or whose it was', async () => {
    story.says = openedAs(TEXT, 'trusted', PROTECTED);
    await shown(session());
    await store.close();
    for (const file of ['views.sqlite', 'views.sqlite-wal']) {
      const octets = await readFile(join(folder, file)).catch(() => Buffer.alloc(0));
      for (const secret of ['boathouse', 'alice', 'bob@', 'verdict'])
        expect(octets.includes(secret)).toBe(false);
    }
    await start();
  });

  it('attack: one put in the place of another, or changed, is refused', async () => {
    await shown(session());
    story.says = openedAs(TEXT, 'trusted', PROTECTED);
    await shown(session(), imap(2));
    await store.query(
      sql`UPDATE view_record SET sealed = (SELECT sealed FROM view_record WHERE message = '2') WHERE message = '1'`,
    );
    await restart();
    const views = session();
    expect(await shown(views)).toMatchObject({ code: 'SERVERBUG' });
    expect(views.events.has('view.differs')).toBe(true);
  });

  it('of POP3 are kept by UIDL, for what was opened', async () => {
    const message = { protocol: 'pop3', uidl: 'a1' } as const;
    const first = await shown(session(), message);
    story.says = openedAs(TEXT, 'untrusted');
    await restart();
    expect(await shown(session(), message)).toEqual(first);
    const other = { protocol: 'pop3', uidl: 'a2' } as const;
    story.says = NO_KEY;
    await shown(session(), other);
    story.says = openedAs();
    expect(await shown(session(), other)).toMatchObject({ octets: expect.stringContaining('boathouse') });
  });

  it('are written before a view is given out', async () => {
    const broken = new RecordedMailboxes({
      mailbox: (place) => records.mailbox(place),
      find: (mailbox, message) => records.find(mailbox, message),
      add: () => Promise.reject(noRoom()),
      replace: () => Promise.reject(noRoom()),
      setEras: async () => undefined,
      servedAs: async () => [],
      setOutdated: async () => undefined,
      outdated: async () => [],
      renamed: async () => undefined,
      deleted: async () => undefined,
    });
    expect(await shown(reader(story, { recorded: broken }))).toMatchObject({ code: 'UNAVAILABLE' });
  });
});

function noRoom(): SealgateError {
  return new SealgateError({ code: 'store.unavailable', publicText: 'No room.', duration: 'temporary' });
}

describe('an encrypted message keeps what it is', () => {
  const select = { name: 'INBOX', uidValidity: 7, exists: 10 };
  const kinds = (views: ReturnType<typeof session>, ...uids: number[]) =>
    uids.map((uid) => views.kindOf('encrypted', imap(uid)));

  it('when its reader gets a key', async () => {
    const before = reader(story, { recorded, hasKeys: false });
    await before.enter({ ...select, uidNext: 11 });
    expect(kinds(before, 1, 10, 11)).toEqual(['identity', 'identity', 'identity']);
    await restart();
    const after = session();
    await after.enter({ ...select, uidNext: 15 });
    expect(kinds(after, 1, 14, 15)).toEqual(['identity', 'identity', 'shell']);
    expect(after.kindOf('opaque-signed', imap(1))).toBe('shell');
    expect(after.kindOf('none', imap(15))).toBe('identity');
  });

  it('when its reader loses his keys', async () => {
    await session().enter({ ...select, uidNext: 11 });
    const after = reader(story, { recorded, hasKeys: false });
    await after.enter({ ...select, uidNext: 12 });
    expect(kinds(after, 1, 11, 12)).toEqual(['shell', 'shell', 'identity']);
  });

  it('when only the newest are opened of a mailbox that is seen for the first time', async () => {
    const views = reader(story, { recorded, settings: { ...usualReading, backlog: 3 } });
    await views.enter({ ...select, uidNext: 60, uidOf: async (msn) => msn * 5 });
    expect(kinds(views, 1, 39, 40, 60, 61)).toEqual(['identity', 'identity', 'shell', 'shell', 'shell']);
    await restart();
    const later = reader(story, { recorded, settings: { ...usualReading, backlog: 3 } });
    await later.enter({ ...select, exists: 20, uidNext: 90, uidOf: async () => 85 });
    expect(kinds(later, 39, 40, 70)).toEqual(['identity', 'shell', 'shell']);
  });
});

it('an original of another size has a view of that size', async () => {
  expect(((await shown(session())) as { octets: string }).octets.length).toBe(ORIGINAL.length);
});

describe('whether a message is for others is decided once, whoever asks and opens at the same time', () => {
  const asking = async () => {
    const views = reader(story, { recorded, settings: { ...usualReading, foreign: 'peek-first' } });
    await views.enter({ name: 'INBOX', uidValidity: 7, uidNext: 1, exists: 0 });
    return views;
  };

  it('what is being opened is opened, however long that takes and whatever is found meanwhile', async () => {
    const [one, other] = [await asking(), await asking()];
    const { says } = story;
    const asked = Promise.withResolvers<void>();
    const key = Promise.withResolvers<void>();
    story.open = async () => {
      asked.resolve();
      await key.promise;
      return says;
    };
    const shows = shown(one);
    await asked.promise;
    await other.foundForeign(2, [1]);
    expect(other.recorded(imap(1))).toBe(null);
    key.resolve();
    expect(await shows).toMatchObject({ octets: expect.stringContaining('boathouse') });
    expect(other.recorded(imap(1))).toBe('shell');
  });

  it('what was found first is not opened', async () => {
    const [one, other] = [await asking(), await asking()];
    const setEras = records.setEras.bind(records);
    const writing = Promise.withResolvers<void>();
    const disk = Promise.withResolvers<void>();
    records.setEras = async (...eras) => {
      writing.resolve();
      await disk.promise;
      return setEras(...eras);
    };
    const found = other.foundForeign(2, [1]);
    await writing.promise;
    expect(one.recorded(imap(1))).toBe(null);
    const shows = shown(one);
    disk.resolve();
    expect(await shows).toMatchObject({ code: 'UNAVAILABLE', text: expect.stringContaining('for others') });
    await found;
    expect([one.recorded(imap(1)), other.recorded(imap(1))]).toEqual(['identity', 'identity']);
    expect(story.asked).toBe(0);
  });
});

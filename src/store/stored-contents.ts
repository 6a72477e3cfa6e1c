import { unlink } from 'node:fs/promises';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { openSqlite, type Row, type SqlStore, type Statement, sql } from './sqlite.ts';
import { storedViewMigrations } from './stored-view-migrations.ts';

/** As reading asks for it (reading/stored/stored-contents.ts). */
type NewContent = { reader: string; message: string; key: string; length: number; octets: number };
type Placed = { mailbox: string; uid: number; message: string; mark: Uint8Array };

/** In the state folder. */
export const STORED_VIEWS_FILE = 'opened.sqlite';

/** How long a content counts as used a moment ago, which saves a write at each look. Milliseconds. */
const A_MOMENT = 3_600_000;
/** Places of one message that are remembered: a client makes as many copies as it likes. */
const COPIES = 16;
/** What is left of a quota's use when it is full: the next ones need no room made again. */
const LEFT = 0.9;

/**
 * Opens the file, or makes it. What is half in it goes; what cannot be read at all is thrown away: it can all be made again.
 *
 * @throws SealgateError `store.unusable` (permanent)
 */
export async function openStoredContents(
  file: string,
): Promise<{ contents: SqliteStoredContents; store: SqlStore }> {
  const store = (await openedWhole(file)) ?? (await openAnew(file));
  return { contents: new SqliteStoredContents(store), store };
}

/** With all that SQLite keeps beside it. None is fine, too. */
export async function removeStoredContents(file: string): Promise<void> {
  for (const each of [file, `${file}-wal`, `${file}-shm`]) {
    try {
      await unlink(each);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
}

/** null: it is damaged, or was made by a newer version. */
async function openedWhole(file: string): Promise<SqlStore | null> {
  let store: SqlStore | null = null;
  try {
    store = await openSqlite(file, storedViewMigrations, 'takes-the-last');
    await store.query(sql`DELETE FROM stored_content WHERE is_whole = 0`);
    await shrink(store);
    return store;
  } catch (error) {
    await store?.close();
    if (!(error instanceof SealgateError)) throw error;
    return null;
  }
}

async function openAnew(file: string): Promise<SqlStore> {
  await removeStoredContents(file);
  return openSqlite(file, storedViewMigrations, 'takes-the-last');
}

/** Room that is free since something was emptied goes back to the disk, once it is half of the file. */
async function shrink(store: SqlStore): Promise<void> {
  const [pages] = await store.query(sql`PRAGMA page_count`);
  const [free] = await store.query(sql`PRAGMA freelist_count`);
  if (Number(free?.freelist_count) * 2 > Number(pages?.page_count)) await store.query(sql`VACUUM`);
}

/** What was opened, in a database of its own (stored-view-migrations.ts). */
export class SqliteStoredContents {
  readonly #store: SqlStore;

  constructor(store: SqlStore) {
    this.#store = store;
  }

  async wrapOf(reader: string, key: string): Promise<Uint8Array | null> {
    const [row] = await this.#store.query(
      sql`SELECT wrapped FROM locked_key WHERE reader = ${reader} AND key = ${key}`,
    );
    return octetsOf(row?.wrapped);
  }

  async addWrap(reader: string, key: string, wrapped: Uint8Array): Promise<void> {
    await this.#store.transaction([
      ...without(reader, key),
      sql`INSERT INTO locked_key (reader, key, wrapped) VALUES (${reader}, ${key}, ${wrapped})`,
    ]);
  }

  async keysOf(reader: string): Promise<readonly string[]> {
    const rows = await this.#store.query(sql`SELECT key FROM locked_key WHERE reader = ${reader}`);
    return rows.map(({ key }) => String(key));
  }

  async removeKey(reader: string, key: string): Promise<void> {
    await this.#store.transaction(without(reader, key));
  }

  async keepOnly(readers: readonly string[]): Promise<void> {
    const rows = await this.#store.query(
      sql`SELECT reader FROM locked_key UNION SELECT reader FROM stored_content`,
    );
    const gone = rows.map(({ reader }) => String(reader)).filter((reader) => !readers.includes(reader));
    for (const reader of gone) await this.empty(reader);
  }

  /** Returns how many messages were kept. */
  async empty(reader: string): Promise<number> {
    const [rows] = await this.#store.transaction([
      sql`SELECT count(*) AS count FROM stored_content WHERE reader = ${reader}`,
      sql`DELETE FROM locked_key WHERE reader = ${reader}`,
      sql`DELETE FROM stored_content WHERE reader = ${reader}`,
      sql`DELETE FROM stored_place WHERE reader = ${reader}`,
    ]);
    return Number(rows?.[0]?.count);
  }

  async find(reader: string, message: string) {
    const [row] = await this.#store.query(
      sql`SELECT id, key, length, EXISTS (SELECT 1 FROM stored_words WHERE content = id) AS worded,
            (SELECT sealed FROM stored_piece WHERE content = id AND number = 0) AS first
          FROM stored_content WHERE reader = ${reader} AND message = ${message} AND is_whole = 1
          ORDER BY id DESC LIMIT 1`,
    );
    if (row === undefined) return null;
    return {
      ...{ id: Number(row.id), key: String(row.key), length: Number(row.length) },
      ...{ hasWords: row.worded === 1, first: octetsOf(row.first) },
    };
  }

  async pieces(content: number, from: number, most: number): Promise<readonly Uint8Array[]> {
    const rows = await this.#store.query(
      sql`SELECT sealed FROM stored_piece WHERE content = ${content} AND number >= ${from} ORDER BY number LIMIT ${most}`,
    );
    return sealedOf(rows);
  }

  async used(content: number): Promise<void> {
    const now = Date.now();
    await this.#store.query(
      sql`UPDATE stored_content SET used_at = ${now} WHERE id = ${content} AND used_at < ${now - A_MOMENT}`,
    );
  }

  async begin({ reader, message, key, length, octets }: NewContent, most: number): Promise<number> {
    await this.#makeRoom(reader, octets, most);
    const [row] = await this.#store.query(
      sql`INSERT INTO stored_content (reader, message, key, length, octets, used_at, is_whole)
          VALUES (${reader}, ${message}, ${key}, ${length}, ${octets}, ${Date.now()}, 0) RETURNING id`,
    );
    return Number(row?.id);
  }

  async #makeRoom(reader: string, octets: number, most: number): Promise<void> {
    const { messages } = limits.storedViews;
    const [row] = await this.#store.query(
      sql`SELECT count(*) AS count, total(octets) AS octets FROM stored_content WHERE reader = ${reader}`,
    );
    if (Number(row?.octets) + octets <= most && Number(row?.count) < messages) return;
    const room = Math.max(0, Math.floor(Math.min(most - octets, most * LEFT)));
    await this.#store.query(
      sql`DELETE FROM stored_content WHERE id IN (
            SELECT id FROM (
              SELECT id, sum(octets) OVER newest AS until, row_number() OVER newest AS number
              FROM stored_content WHERE reader = ${reader}
              WINDOW newest AS (ORDER BY used_at DESC, id DESC))
            WHERE until > ${room} OR number > ${Math.floor(messages * LEFT)})`,
    );
  }

  async addPieces(content: number, from: number, pieces: readonly Uint8Array[]): Promise<void> {
    await this.#store.transaction(
      pieces.map(
        (sealed, index) =>
          // Nothing for one that was thrown away meanwhile.
          sql`INSERT INTO stored_piece (content, number, sealed) SELECT ${content}, ${from + index}, ${sealed}
              WHERE EXISTS (SELECT 1 FROM stored_content WHERE id = ${content})`,
      ),
    );
  }

  async finish(content: number): Promise<void> {
    await this.#store.transaction([
      sql`UPDATE stored_content SET is_whole = 1 WHERE id = ${content}`,
      sql`DELETE FROM stored_content WHERE id IN (
            SELECT other.id FROM stored_content AS other
            JOIN stored_content AS this ON this.id = ${content}
              AND other.reader = this.reader AND other.message = this.message AND other.id < this.id)`,
    ]);
  }

  async remove(content: number): Promise<void> {
    await this.#store.query(sql`DELETE FROM stored_content WHERE id = ${content}`);
  }

  async setWords(content: number, header: boolean, sealed: Uint8Array): Promise<void> {
    await this.#store.transaction([
      sql`UPDATE stored_content SET octets = octets + ${sealed.length}
            - coalesce((SELECT length(sealed) FROM stored_words WHERE content = ${content}), 0)
          WHERE id = ${content}`,
      sql`INSERT OR REPLACE INTO stored_words (content, header, sealed)
          SELECT ${content}, ${header ? 1 : 0}, ${sealed} WHERE EXISTS (SELECT 1 FROM stored_content WHERE id = ${content})`,
    ]);
  }

  async place(reader: string, places: readonly Placed[]): Promise<void> {
    await this.#store.transaction(
      places.map(
        ({ mailbox, uid, message, mark }) =>
          sql`INSERT OR REPLACE INTO stored_place (reader, mailbox, uid, message, mark)
              SELECT ${reader}, ${mailbox}, ${uid}, ${message}, ${mark}
              WHERE EXISTS (SELECT 1 FROM stored_content WHERE reader = ${reader} AND message = ${message})
                AND (SELECT count(*) FROM stored_place WHERE reader = ${reader} AND message = ${message}) < ${COPIES}`,
      ),
    );
  }

  async placedAt(reader: string, mailbox: string, uids: readonly number[]): Promise<readonly Placed[]> {
    const found = await this.#store.transaction(
      uids.map(
        (uid) =>
          sql`SELECT message, mark FROM stored_place WHERE reader = ${reader} AND mailbox = ${mailbox} AND uid = ${uid}`,
      ),
    );
    return found.flatMap((rows, index) =>
      rows.map(({ message, mark }) => ({
        ...{ mailbox, uid: uids[index] ?? 0, message: String(message) },
        mark: octetsOf(mark ?? null) ?? new Uint8Array(),
      })),
    );
  }

  async worded(reader: string, mailbox: string, before: number) {
    const rows = await this.#store.query(
      sql`SELECT uid, key, header FROM stored_place AS place
          JOIN stored_content AS content ON content.reader = place.reader AND content.message = place.message AND is_whole = 1
          JOIN stored_words AS words ON words.content = content.id
          WHERE place.reader = ${reader} AND mailbox = ${mailbox} AND uid < ${before}
          ORDER BY uid DESC LIMIT ${limits.storedViews.listedAtOnce}`,
    );
    return rows.map(({ uid, key, header }) => ({
      uid: Number(uid),
      key: String(key),
      header: header === 1,
    }));
  }

  async words(reader: string, mailbox: string, header: boolean, after: number) {
    const rows = await this.#store.query(
      sql`SELECT uid, content.id AS content, key, place.message AS message, mark, words.sealed AS sealed FROM stored_place AS place
          JOIN stored_content AS content ON content.reader = place.reader AND content.message = place.message AND is_whole = 1
          JOIN stored_words AS words ON words.content = content.id
          WHERE place.reader = ${reader} AND mailbox = ${mailbox} AND uid > ${after} AND header = ${header ? 1 : 0}
          ORDER BY uid LIMIT ${limits.storedViews.scannedAtOnce}`,
    );
    return rows.flatMap(({ uid, content, key, message, mark, sealed }) => {
      const [one, other] = [octetsOf(mark), octetsOf(sealed)];
      if (one === null || other === null) return [];
      const [id, name] = [Number(content), String(message)];
      return [{ uid: Number(uid), content: id, key: String(key), message: name, mark: one, sealed: other }];
    });
  }
}

/** The contents too: one may be there without a key that was never written down. */
function without(reader: string, key: string): Statement[] {
  return [
    sql`DELETE FROM locked_key WHERE reader = ${reader} AND key = ${key}`,
    sql`DELETE FROM stored_content WHERE reader = ${reader} AND key = ${key}`,
  ];
}

function octetsOf(value: Row[string] | undefined): Uint8Array | null {
  return value instanceof Uint8Array ? value : null;
}

function sealedOf(rows: readonly Row[]): Uint8Array[] {
  return rows.flatMap(({ sealed }) => octetsOf(sealed) ?? []);
}

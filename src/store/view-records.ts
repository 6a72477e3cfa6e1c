import { randomBytes } from 'node:crypto';
import { oneOf, type Row, type SqlStore, type Statement, sql } from './sql-store.ts';

/** As reading asks for it (reading/view-records.ts). */
export type ViewRecord = {
  kind: string;
  version: number;
  size: number | null;
  header: boolean;
  sha256: Uint8Array | null;
  served: boolean;
  sealed: Uint8Array;
};

export type RecordedMessage = { message: string; size: number | null; header: boolean };

/** Records that one step of cleaning deletes. */
const STEP = 500;
/** Records that are read at a time: each is an object that the one event loop makes. */
const PAGE = 5_000;
/** Of a mail server whose UIDVALIDITY becomes smaller, against RFC 9051 §2.3.1.1, what was said under so many larger ones is kept. */
const LARGER_KEPT = 3;

/**
 * Records of what readers were shown, in a database of its own (view-migrations.ts). Mailboxes that are gone are forgotten at once,
 * their records in steps that keep nobody waiting.
 */
export class SqliteViewRecords {
  readonly #store: SqlStore;
  #cleaning: Promise<void> = Promise.resolve();

  constructor(store: SqlStore) {
    this.#store = store;
    this.#cleaning = this.#markOrphans().catch(() => undefined);
    this.#clean();
  }

  /** Of a session that went on with a mailbox while another one heard that it is gone. One look for each mailbox, not for each record. */
  async #markOrphans(): Promise<void> {
    await this.#store.query(
      sql`INSERT INTO view_gone (mailbox)
          WITH RECURSIVE recorded (id) AS (
            SELECT min(mailbox) FROM view_record
            UNION ALL SELECT (SELECT min(mailbox) FROM view_record WHERE mailbox > recorded.id) FROM recorded WHERE id IS NOT NULL)
          SELECT id FROM recorded WHERE id IS NOT NULL AND id NOT IN (SELECT id FROM view_mailbox)
          ON CONFLICT DO NOTHING`,
    );
  }

  async mailbox({ reader, key, name, uidValidity }: Place, selected: readonly number[] = []) {
    const [, , , , , rows = []] = await this.#store.transaction([
      // A mailbox known by its name so far, of which the server now tells the id.
      sql`UPDATE view_mailbox SET mailbox = ${key}
          WHERE reader = ${reader} AND name = ${name} AND uid_validity = ${uidValidity} AND mailbox = ${`name ${name}`}
            AND NOT EXISTS
              (SELECT 1 FROM view_mailbox WHERE reader = ${reader} AND mailbox = ${key} AND uid_validity = ${uidValidity})`,
      // Whoever comes late with a former UIDVALIDITY takes nothing from those that have the present one.
      ...goneWhere(sql`reader = ${reader} AND mailbox = ${key} AND uid_validity <> ${uidValidity}
        AND NOT ${oneOf('id', selected)}
        AND id NOT IN (SELECT id FROM view_mailbox WHERE reader = ${reader} AND mailbox = ${key}
          AND uid_validity > ${uidValidity} ORDER BY id DESC LIMIT ${LARGER_KEPT})`),
      // Asked for by its name, where the id is known: it is the same one.
      sql`INSERT INTO view_mailbox (reader, mailbox, name, uid_validity, eras)
          SELECT ${reader}, ${key}, ${name}, ${uidValidity}, '' WHERE NOT EXISTS
            (SELECT 1 FROM view_mailbox WHERE reader = ${reader} AND name = ${name} AND uid_validity = ${uidValidity}
               AND ${key} = ${`name ${name}`})
          ON CONFLICT (reader, mailbox, uid_validity) DO NOTHING`,
      sql`UPDATE view_mailbox SET name = ${name} WHERE reader = ${reader} AND mailbox = ${key} AND name <> ${name}`,
      sql`SELECT id, eras FROM view_mailbox WHERE reader = ${reader} AND uid_validity = ${uidValidity}
            AND (mailbox = ${key} OR (name = ${name} AND ${key} = ${`name ${name}`}))
          ORDER BY mailbox = ${key} DESC LIMIT 1`,
    ]);
    const [row] = rows;
    if (row === undefined) throw new Error('a mailbox is not there after it was made');
    this.#clean();
    const id = Number(row.id);
    return { id, eras: String(row.eras), recorded: await this.#recorded(id) };
  }

  async #recorded(mailbox: number): Promise<RecordedMessage[]> {
    const recorded: RecordedMessage[] = [];
    for (let after = ''; ; after = recorded.at(-1)?.message ?? '') {
      const rows = await this.#store.query(
        sql`SELECT message, size, header FROM view_record
            WHERE mailbox = ${mailbox} AND message > ${after} ORDER BY message LIMIT ${PAGE}`,
      );
      for (const row of rows) recorded.push(recordedMessage(row));
      if (rows.length < PAGE) return recorded;
    }
  }

  async find(mailbox: number, message: string): Promise<ViewRecord | null> {
    const [row] = await this.#store.query(
      sql`SELECT kind, version, size, header, sha256, served, sealed FROM view_record
          WHERE mailbox = ${mailbox} AND message = ${message}`,
    );
    return row === undefined ? null : viewRecord(row);
  }

  async add(mailbox: number, message: string, record: ViewRecord): Promise<ViewRecord> {
    return this.#afterwards(mailbox, message, insert(mailbox, message, record, sql`DO NOTHING`));
  }

  async replace(mailbox: number, message: string, record: ViewRecord): Promise<ViewRecord> {
    const unlessServed = sql`DO UPDATE SET outdated = 0, kind = excluded.kind, version = excluded.version, size = excluded.size,
      header = excluded.header, sha256 = excluded.sha256, served = excluded.served, sealed = excluded.sealed
      WHERE view_record.served = 0`;
    return this.#afterwards(mailbox, message, insert(mailbox, message, record, unlessServed));
  }

  async #afterwards(mailbox: number, message: string, change: Statement): Promise<ViewRecord> {
    const [, rows = []] = await this.#store.transaction([
      change,
      sql`SELECT kind, version, size, header, sha256, served, sealed FROM view_record
          WHERE mailbox = ${mailbox} AND message = ${message}`,
    ]);
    const [row] = rows;
    if (row === undefined) throw new Error('a record is not there after it was made');
    return viewRecord(row);
  }

  async setEras(mailbox: number, eras: string): Promise<void> {
    await this.#store.query(sql`UPDATE view_mailbox SET eras = ${eras} WHERE id = ${mailbox}`);
  }

  async servedAs(mailbox: number, kind: string): Promise<readonly string[]> {
    const rows = await this.#store.query(
      sql`SELECT message FROM view_record WHERE mailbox = ${mailbox} AND kind = ${kind} AND served = 1`,
    );
    return rows.map(({ message }) => String(message));
  }

  async setOutdated(mailbox: number, message: string): Promise<void> {
    await this.#store.query(
      sql`UPDATE view_record SET outdated = 1 WHERE mailbox = ${mailbox} AND message = ${message}`,
    );
  }

  async outdated(mailbox: number): Promise<readonly string[]> {
    const rows = await this.#store.query(
      sql`SELECT message FROM view_record WHERE mailbox = ${mailbox} AND outdated = 1`,
    );
    return rows.map(({ message }) => String(message));
  }

  async renamed(reader: string, from: string, to: string, delimiter: string | null): Promise<void> {
    const below = delimiter === null ? null : `${from}${delimiter}`;
    const rows = await this.#store.query(sql`SELECT id, name FROM view_mailbox WHERE reader = ${reader}`);
    const moved = rows
      .map(({ id, name }) => ({ id: Number(id), name: String(name) }))
      .filter(({ name }) => name === from || (below !== null && name.startsWith(below)));
    const ids = new Set(moved.map(({ id }) => id));
    await this.#store.transaction(
      moved.flatMap(({ id, name }) => {
        const next = `${to}${name.slice(from.length)}`;
        // A mailbox that had this name before cannot be there any more.
        const former = rows.filter((each) => each.name === next && !ids.has(Number(each.id)));
        return [
          ...former.flatMap((each) => goneWhere(sql`id = ${each.id ?? null}`)),
          sql`UPDATE view_mailbox SET name = ${next},
                mailbox = CASE WHEN mailbox = ${`name ${name}`} THEN ${`name ${next}`} ELSE mailbox END
              WHERE id = ${id}`,
        ];
      }),
    );
    this.#clean();
  }

  async deleted(reader: string, name: string): Promise<void> {
    await this.#store.transaction(goneWhere(sql`reader = ${reader} AND name = ${name}`));
    this.#clean();
  }

  /** Of these records, made when they were. */
  async identity(): Promise<string> {
    const [, rows = []] = await this.#store.transaction([
      sql`INSERT INTO view_identity (one, id) VALUES (1, ${randomBytes(16).toString('hex')}) ON CONFLICT (one) DO NOTHING`,
      sql`SELECT id FROM view_identity`,
    ]);
    return String(rows[0]?.id);
  }

  /** Resolves when nothing is left of mailboxes that are gone. */
  async cleaned(): Promise<void> {
    await this.#cleaning;
  }

  #clean(): void {
    // What fails is tried again with the next mailbox that goes.
    this.#cleaning = this.#cleaning.then(() => this.#cleanAll()).catch(() => undefined);
  }

  async #cleanAll(): Promise<void> {
    for (;;) {
      const [gone] = await this.#store.query(sql`SELECT mailbox FROM view_gone LIMIT 1`);
      if (gone === undefined) return;
      const mailbox = Number(gone.mailbox);
      const deleted = await this.#store.query(
        sql`DELETE FROM view_record WHERE mailbox = ${mailbox} AND message IN
              (SELECT message FROM view_record WHERE mailbox = ${mailbox} LIMIT ${STEP})
            RETURNING 1`,
      );
      if (deleted.length < STEP)
        await this.#store.query(sql`DELETE FROM view_gone WHERE mailbox = ${mailbox}`);
    }
  }
}

type Place = { reader: string; key: string; name: string; uidValidity: number };

function insert(mailbox: number, message: string, record: ViewRecord, onConflict: Statement): Statement {
  const { kind, version, size, header, sha256, served, sealed } = record;
  const made = sql`INSERT INTO view_record (mailbox, message, kind, version, size, header, sha256, served, sealed)
    VALUES (${mailbox}, ${message}, ${kind}, ${version}, ${size}, ${Number(header)}, ${sha256}, ${Number(served)}, ${sealed})
    ON CONFLICT (mailbox, message) `;
  return { sql: made.sql + onConflict.sql, parameters: made.parameters };
}

function goneWhere(condition: Statement): Statement[] {
  const { parameters } = condition;
  return [
    {
      sql: `INSERT INTO view_gone (mailbox) SELECT id FROM view_mailbox WHERE ${condition.sql} ON CONFLICT DO NOTHING`,
      parameters,
    },
    { sql: `DELETE FROM view_mailbox WHERE ${condition.sql}`, parameters },
  ];
}

function recordedMessage({ message, size, header }: Row): RecordedMessage {
  return { message: String(message), size: size === null ? null : Number(size), header: header === 1 };
}

function viewRecord(row: Row): ViewRecord {
  const { kind, version, size, header, sha256, served, sealed } = row;
  return {
    kind: String(kind),
    version: Number(version),
    size: size === null ? null : Number(size),
    header: header === 1,
    sha256: sha256 instanceof Uint8Array ? sha256 : null,
    served: served === 1,
    sealed: sealed instanceof Uint8Array ? sealed : new Uint8Array(),
  };
}

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { limits } from '../limits.ts';
import type { Migration } from './migrations.ts';
import { openSqlite, type SqlStore, sql } from './sqlite.ts';

/** Its file in the state folder. */
export const DECISIONS = 'decisions.sqlite';

/**
 * Decisions about outgoing mail, for `policy replay`: a file of its own, which may be deleted at any time and loses no mail. A power cut may
 * take the last moments of it.
 */
export const decisionMigrations: readonly Migration[] = [
  {
    version: 1,
    statements: [
      `CREATE TABLE decision (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         at INTEGER NOT NULL,
         mail TEXT NOT NULL,
         record TEXT NOT NULL
       ) STRICT`,
      'CREATE INDEX decision_by_age ON decision (at)',
    ],
  },
];

const DAY_MS = 24 * 60 * 60 * 1000;

/** One decision: `record` is JSON. */
export type DecisionRow = { at: Date; mail: string; record: string };

export class SqliteDecisions {
  readonly #store: SqlStore;
  readonly #clock: () => Date;
  readonly #days: number;

  /** @param days how long decisions are kept; 0: none are */
  constructor(store: SqlStore, clock: () => Date, days: number) {
    this.#store = store;
    this.#clock = clock;
    this.#days = days;
  }

  /** Throws what the store throws. A record beyond limits.policy.recordCharacters is not kept. */
  async record(mail: string, record: string): Promise<void> {
    if (this.#days === 0 || record.length > limits.policy.recordCharacters) return;
    const now = this.#clock().getTime();
    await this.#store.transaction([
      sql`DELETE FROM decision WHERE at <= ${now - this.#days * DAY_MS}`,
      sql`INSERT INTO decision (at, mail, record) VALUES (${now}, ${mail}, ${record})`,
      sql`DELETE FROM decision WHERE id <= (SELECT max(id) FROM decision) - ${limits.policy.recordedMails}`,
    ]);
  }

  /** Deletes what is older than it may be: at the start, since nothing may be sent for long. */
  async forgetOld(): Promise<void> {
    const oldest = this.#clock().getTime() - this.#days * DAY_MS;
    await this.#store.query(sql`DELETE FROM decision WHERE at <= ${oldest}`);
  }

  /** Those of the last days, oldest first, some at a time. */
  async *since(days: number): AsyncGenerator<DecisionRow> {
    const oldest = this.#clock().getTime() - days * DAY_MS;
    for (let last = 0; ; ) {
      const rows = await this.#store.query(
        sql`SELECT id, at, mail, record FROM decision WHERE id > ${last} AND at > ${oldest} ORDER BY id LIMIT 500`,
      );
      for (const { id, at, mail, record } of rows) {
        last = Number(id);
        yield { at: new Date(Number(at)), mail: String(mail), record: String(record) };
      }
      if (rows.length < 500) return;
    }
  }
}

/** Those of a cluster, which all nodes share. null: for no days none are kept, and what was kept is deleted. */
export async function sharedDecisions(
  store: SqlStore,
  days: number,
  clock: () => Date,
): Promise<SqliteDecisions | null> {
  const records = new SqliteDecisions(store, clock, days);
  await records.forgetOld();
  return days === 0 ? null : records;
}

/**
 * Where a running gateway keeps decisions. null: for no days none are kept, and what was kept is deleted.
 *
 * @throws SealgateError `store.unusable`
 */
export async function openDecisions(
  stateFolder: string,
  days: number,
  clock: () => Date,
): Promise<{ store: SqlStore; records: SqliteDecisions } | null> {
  const file = join(stateFolder, DECISIONS);
  if (days === 0) {
    await Promise.all(['', '-wal', '-shm'].map((part) => rm(`${file}${part}`, { force: true })));
    return null;
  }
  const store = await openSqlite(file, decisionMigrations, 'takes-the-last');
  const records = new SqliteDecisions(store, clock, days);
  await records.forgetOld();
  return { store, records };
}

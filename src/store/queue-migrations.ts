import { join } from 'node:path';
import type { Migration } from './migrations.ts';
import { openSqlite, type SqlStore } from './sqlite.ts';

/** Its file in the state folder. */
export const QUEUE = 'queue.sqlite';

/**
 * What the gateway has accepted and not delivered yet: mail on its way (`delivery`), and mail that waits. A file of its own, in which nothing may
 * be lost; the octets of the mails are in sealed files beside it, each named by a row, in a column `spool`: files that no such column names
 * are swept.
 */
export const queueMigrations: readonly Migration[] = [
  {
    version: 1,
    statements: [
      `CREATE TABLE delivery (
         spool TEXT PRIMARY KEY,
         mail TEXT NOT NULL,
         purpose TEXT NOT NULL,
         kind TEXT NOT NULL,
         way TEXT NOT NULL,
         reverse_path TEXT,
         parameters TEXT NOT NULL,
         require_tls TEXT NOT NULL CHECK (require_tls IN ('no', 'upstream', 'onward')),
         octets INTEGER NOT NULL,
         enqueued_at INTEGER NOT NULL,
         expires_at INTEGER NOT NULL,
         next_at INTEGER NOT NULL,
         attempts INTEGER NOT NULL,
         last_at INTEGER,
         delay_told INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
      'CREATE INDEX delivery_by_time ON delivery (kind, next_at)',
      'CREATE INDEX delivery_by_mail ON delivery (mail)',
      `CREATE TABLE delivery_recipient (
         spool TEXT NOT NULL REFERENCES delivery (spool) ON DELETE CASCADE,
         position INTEGER NOT NULL,
         recipient TEXT NOT NULL,
         because TEXT,
         reply TEXT,
         PRIMARY KEY (spool, position)
       ) STRICT, WITHOUT ROWID`,
    ],
  },
  {
    version: 2,
    statements: [
      `CREATE TABLE held (
         spool TEXT PRIMARY KEY,
         mail TEXT NOT NULL,
         from_address TEXT NOT NULL,
         from_folded TEXT NOT NULL,
         login TEXT NOT NULL,
         listener TEXT NOT NULL,
         subject TEXT,
         reverse_path TEXT,
         parameters TEXT NOT NULL,
         terms TEXT NOT NULL,
         readable INTEGER NOT NULL,
         held_at INTEGER NOT NULL,
         expires_at INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
      'CREATE INDEX held_by_mail ON held (mail)',
      'CREATE INDEX held_by_sender ON held (from_folded, held_at)',
      'CREATE INDEX held_by_expiry ON held (expires_at)',
      `CREATE TABLE held_recipient (
         spool TEXT NOT NULL REFERENCES held (spool) ON DELETE CASCADE,
         position INTEGER NOT NULL,
         address TEXT NOT NULL,
         folded TEXT NOT NULL,
         recipient TEXT NOT NULL,
         because TEXT NOT NULL,
         PRIMARY KEY (spool, position)
       ) STRICT, WITHOUT ROWID`,
      'CREATE INDEX held_recipient_by_address ON held_recipient (folded)',
      // What became of it is written once: of two who decide at the same moment, the transaction of one fails.
      `CREATE TABLE held_settled (
         spool TEXT NOT NULL,
         position INTEGER NOT NULL,
         state TEXT NOT NULL CHECK (state IN ('leaving', 'discarded', 'expired')),
         because TEXT NOT NULL,
         mark TEXT NOT NULL,
         settled_at INTEGER NOT NULL,
         PRIMARY KEY (spool, position),
         FOREIGN KEY (spool, position) REFERENCES held_recipient (spool, position) ON DELETE CASCADE
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE introduced (
         sender TEXT NOT NULL,
         recipient TEXT NOT NULL,
         introduced_at INTEGER NOT NULL,
         PRIMARY KEY (sender, recipient)
       ) STRICT, WITHOUT ROWID`,
      // What commands beside the gateway want of it.
      `CREATE TABLE held_wish (
         id TEXT PRIMARY KEY,
         mail TEXT NOT NULL,
         choice TEXT NOT NULL,
         recipients TEXT,
         wished_by TEXT NOT NULL,
         wished_at INTEGER NOT NULL,
         outcome TEXT
       ) STRICT, WITHOUT ROWID`,
    ],
  },
];

/** @throws SealgateError `store.unusable` */
export function openQueueStore(stateFolder: string): Promise<SqlStore> {
  return openSqlite(join(stateFolder, QUEUE), queueMigrations);
}

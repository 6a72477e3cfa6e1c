import { join } from 'node:path';
import type { Migration } from './migrations.ts';
import { openSqlite, type SqlStore } from './sqlite.ts';

/** Its file in the state folder. */
export const QUEUE = 'queue.sqlite';

/**
 * What the gateway has accepted and not delivered yet: mail on its way (`delivery`), and mail that waits. A file of its own, in which nothing may
 * be lost; the octets of the mails are in sealed files beside it, each named by one row.
 */
export const queueMigrations: readonly Migration[] = [
  {
    version: 1,
    statements: [
      `CREATE TABLE delivery (
         spool TEXT PRIMARY KEY,
         mail TEXT NOT NULL,
         purpose TEXT NOT NULL,
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
      'CREATE INDEX delivery_by_time ON delivery (next_at)',
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
];

/** @throws SealgateError `store.unusable` */
export function openQueueStore(stateFolder: string): Promise<SqlStore> {
  return openSqlite(join(stateFolder, QUEUE), queueMigrations);
}

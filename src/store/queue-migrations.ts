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
  {
    // One delivery for each destination of a mail, of which several may have one file; who is at work on it; what an administrator holds.
    version: 3,
    statements: [
      `CREATE TABLE delivery_3 (
         id TEXT PRIMARY KEY,
         spool TEXT NOT NULL,
         mail TEXT NOT NULL,
         purpose TEXT NOT NULL,
         kind TEXT NOT NULL,
         destination TEXT NOT NULL,
         way TEXT NOT NULL,
         reverse_path TEXT,
         parameters TEXT NOT NULL,
         require_tls TEXT NOT NULL CHECK (require_tls IN ('no', 'upstream', 'onward')),
         octets INTEGER NOT NULL,
         enqueued_at INTEGER NOT NULL,
         expires_at INTEGER NOT NULL,
         next_at INTEGER NOT NULL,
         overdue_at INTEGER NOT NULL,
         attempts INTEGER NOT NULL,
         last_at INTEGER,
         delay_told INTEGER NOT NULL,
         state TEXT NOT NULL CHECK (state IN ('waiting', 'held')),
         held_at INTEGER,
         lease_holder TEXT,
         lease_until INTEGER NOT NULL,
         fence INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
      `INSERT INTO delivery_3 SELECT spool, spool, mail, purpose, kind,
         CASE kind WHEN 'append' THEN way ->> '$.archive' ELSE 'server' END,
         way, reverse_path, parameters, require_tls, octets, enqueued_at, expires_at, next_at,
         CASE WHEN delay_told = 1 OR expires_at < enqueued_at + 14400000 THEN expires_at ELSE enqueued_at + 14400000 END,
         attempts, last_at, delay_told, 'waiting', NULL, NULL, 0, 0 FROM delivery`,
      `CREATE TABLE delivery_recipient_3 (
         delivery TEXT NOT NULL REFERENCES delivery_3 (id) ON DELETE CASCADE,
         position INTEGER NOT NULL,
         recipient TEXT NOT NULL,
         because TEXT,
         reply TEXT,
         PRIMARY KEY (delivery, position)
       ) STRICT, WITHOUT ROWID`,
      `INSERT INTO delivery_recipient_3 SELECT * FROM delivery_recipient`,
      // The recipients first: those of a delivery go with it.
      'DROP TABLE delivery_recipient',
      'DROP TABLE delivery',
      'ALTER TABLE delivery_3 RENAME TO delivery',
      'ALTER TABLE delivery_recipient_3 RENAME TO delivery_recipient',
      'CREATE INDEX delivery_by_time ON delivery (kind, state, destination, next_at)',
      'CREATE INDEX delivery_by_overdue ON delivery (kind, state, destination, overdue_at)',
      'CREATE INDEX delivery_by_mail ON delivery (mail)',
      'CREATE INDEX delivery_by_spool ON delivery (spool)',
      'CREATE INDEX delivery_by_age ON delivery (enqueued_at, id)',
      'CREATE INDEX delivery_by_holder ON delivery (lease_holder) WHERE lease_holder IS NOT NULL',
      // Destinations that an administrator wants called, though they were found away.
      'CREATE TABLE delivery_flush (destination TEXT PRIMARY KEY, flushed_at INTEGER NOT NULL) STRICT, WITHOUT ROWID',
    ],
  },
  {
    // Sealed files of one gateway that no row names, and when that was first seen.
    version: 4,
    statements: [
      'CREATE TABLE spool_orphan (name TEXT PRIMARY KEY, seen_at INTEGER NOT NULL) STRICT, WITHOUT ROWID',
    ],
  },
  {
    // Who takes turns at a place: senders with mail that was never tried, and all that was.
    version: 5,
    statements: [
      "ALTER TABLE delivery ADD COLUMN lane TEXT NOT NULL DEFAULT ''",
      'DROP INDEX delivery_by_time',
      'CREATE INDEX delivery_by_lane ON delivery (kind, state, destination, lane, next_at)',
    ],
  },
  {
    // Who has the mail, and stays for a report of that which could not be written yet.
    version: 6,
    statements: ['ALTER TABLE delivery_recipient ADD COLUMN taken INTEGER NOT NULL DEFAULT 0'],
  },
];

/** @throws SealgateError `store.unusable` */
export function openQueueStore(stateFolder: string): Promise<SqlStore> {
  return openSqlite(join(stateFolder, QUEUE), queueMigrations);
}

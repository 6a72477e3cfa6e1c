import type { Migration } from './migrations.ts';

/**
 * What clients were told of the UIDVALIDITY of their mailboxes, a file of its own: it has to outlive the records of what was shown,
 * and a power cut takes nothing of it. `reader` is a digest of account and login.
 */
export const epochMigrations: readonly Migration[] = [
  {
    version: 1,
    statements: [
      `CREATE TABLE told_mailbox (
         reader TEXT NOT NULL,
         name TEXT NOT NULL,
         mailbox TEXT NOT NULL,
         upstream INTEGER NOT NULL,
         epoch INTEGER NOT NULL,
         told INTEGER NOT NULL,
         highest INTEGER NOT NULL,
         PRIMARY KEY (reader, name)
       ) STRICT, WITHOUT ROWID`,
      'CREATE INDEX told_mailbox_by_id ON told_mailbox (reader, mailbox)',
      // An empty name: of all mailboxes; an empty reader: of everybody.
      `CREATE TABLE epoch (
         reader TEXT NOT NULL,
         name TEXT NOT NULL,
         why TEXT NOT NULL CHECK (why IN ('command', 'need')),
         epoch INTEGER NOT NULL,
         begun_at INTEGER NOT NULL,
         PRIMARY KEY (reader, name, why)
       ) STRICT, WITHOUT ROWID`,
      // Which records these are about: others, or none, and what was shown before is not known any more.
      'CREATE TABLE records_identity (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL) STRICT',
    ],
  },
];

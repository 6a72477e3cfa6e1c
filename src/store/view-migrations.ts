import type { Migration } from './migrations.ts';

/**
 * What readers were shown, a file of its own: it grows with the mail that is read, and whoever loses it loses no mail. A power cut may
 * take the last moments of it, which saves a wait for the disk whenever a mail is opened: such a mail is judged anew, and is the same unless
 * something else was learnt of its signer since.
 * `reader` is a digest of account and login; `sealed` can be read with the installation's secret only.
 */
export const viewMigrations: readonly Migration[] = [
  {
    version: 1,
    statements: [
      // Ids are never used again: records of a mailbox that is gone are deleted later.
      `CREATE TABLE view_mailbox (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         reader TEXT NOT NULL,
         mailbox TEXT NOT NULL,
         name TEXT NOT NULL,
         uid_validity INTEGER NOT NULL,
         eras TEXT NOT NULL,
         UNIQUE (reader, mailbox)
       ) STRICT`,
      'CREATE INDEX view_mailbox_by_name ON view_mailbox (reader, name)',
      `CREATE TABLE view_record (
         mailbox INTEGER NOT NULL,
         message TEXT NOT NULL,
         kind TEXT NOT NULL,
         version INTEGER NOT NULL,
         size INTEGER,
         header INTEGER NOT NULL,
         sha256 BLOB,
         served INTEGER NOT NULL,
         sealed BLOB NOT NULL,
         PRIMARY KEY (mailbox, message)
       ) STRICT, WITHOUT ROWID`,
      'CREATE TABLE view_gone (mailbox INTEGER PRIMARY KEY) STRICT',
    ],
  },
  {
    version: 2,
    statements: [
      // One mailbox has records for each UIDVALIDITY that some session still has selected.
      `CREATE TABLE view_mailbox_2 (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         reader TEXT NOT NULL,
         mailbox TEXT NOT NULL,
         name TEXT NOT NULL,
         uid_validity INTEGER NOT NULL,
         eras TEXT NOT NULL,
         UNIQUE (reader, mailbox, uid_validity)
       ) STRICT`,
      `INSERT INTO view_mailbox_2 (id, reader, mailbox, name, uid_validity, eras)
         SELECT id, reader, mailbox, name, uid_validity, eras FROM view_mailbox`,
      // Ids are never used again, those of mailboxes that are gone neither.
      "INSERT INTO sqlite_sequence (name, seq) SELECT 'view_mailbox_2', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'view_mailbox_2')",
      `UPDATE sqlite_sequence SET seq = max(seq, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'view_mailbox'), 0))
         WHERE name = 'view_mailbox_2'`,
      'DROP TABLE view_mailbox',
      'ALTER TABLE view_mailbox_2 RENAME TO view_mailbox',
      'CREATE INDEX view_mailbox_by_name ON view_mailbox (reader, name)',
      // Served by another renderer, in octets that this one does not make.
      'ALTER TABLE view_record ADD COLUMN outdated INTEGER NOT NULL DEFAULT 0',
    ],
  },
  {
    version: 3,
    statements: [
      // Which records these are: where others are expected, what was shown before is not known any more.
      'CREATE TABLE view_identity (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL) STRICT',
    ],
  },
];

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
];

import type { Migration } from './migrations.ts';

/**
 * What was opened, a file of its own: it may be as large as the quotas of all logins, and whoever loses it loses nothing but time. `reader`, `key`,
 * `message` and `mailbox` are keyed digests; what is sealed can be read only with the installation's secret and the reader's private key.
 * Whatever belongs to a content goes with it.
 */
export const storedViewMigrations: readonly Migration[] = [
  {
    version: 1,
    statements: [
      `CREATE TABLE locked_key (
         reader TEXT NOT NULL,
         key TEXT NOT NULL,
         wrapped BLOB NOT NULL,
         PRIMARY KEY (reader, key)
       ) STRICT, WITHOUT ROWID`,
      // Ids are never used again: whoever still reads a content that is gone must not read another one.
      `CREATE TABLE stored_content (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         reader TEXT NOT NULL,
         message TEXT NOT NULL,
         key TEXT NOT NULL,
         length INTEGER NOT NULL,
         octets INTEGER NOT NULL,
         used_at INTEGER NOT NULL,
         is_whole INTEGER NOT NULL
       ) STRICT`,
      'CREATE INDEX stored_content_by_message ON stored_content (reader, message)',
      'CREATE INDEX stored_content_by_use ON stored_content (reader, used_at, octets)',
      `CREATE TABLE stored_piece (
         content INTEGER NOT NULL,
         number INTEGER NOT NULL,
         sealed BLOB NOT NULL,
         PRIMARY KEY (content, number)
       ) STRICT`,
      `CREATE TABLE stored_words (
         content INTEGER PRIMARY KEY,
         header INTEGER NOT NULL,
         sealed BLOB NOT NULL
       ) STRICT`,
      `CREATE TABLE stored_place (
         reader TEXT NOT NULL,
         mailbox TEXT NOT NULL,
         uid INTEGER NOT NULL,
         message TEXT NOT NULL,
         mark BLOB NOT NULL,
         PRIMARY KEY (reader, mailbox, uid)
       ) STRICT, WITHOUT ROWID`,
      'CREATE INDEX stored_place_by_message ON stored_place (reader, message)',
      `CREATE TRIGGER locked_key_gone AFTER DELETE ON locked_key BEGIN
         DELETE FROM stored_content WHERE reader = OLD.reader AND key = OLD.key;
       END`,
      `CREATE TRIGGER stored_content_gone AFTER DELETE ON stored_content BEGIN
         DELETE FROM stored_piece WHERE content = OLD.id;
         DELETE FROM stored_words WHERE content = OLD.id;
         DELETE FROM stored_place WHERE reader = OLD.reader AND message = OLD.message
           AND NOT EXISTS (SELECT 1 FROM stored_content WHERE reader = OLD.reader AND message = OLD.message);
       END`,
    ],
  },
];

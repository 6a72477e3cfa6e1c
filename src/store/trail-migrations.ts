import type { Migration } from './migrations.ts';

/** Its file in the state folder. */
export const TRAIL = 'trail.sqlite';

/** What became of each mail. Of one gateway: a file of its own, which may be deleted at any time and loses no mail. A power cut may take the last moments of it. */
export const trailMigrations: readonly Migration[] = [
  {
    version: 1,
    statements: [
      `CREATE TABLE trail_mail (
         mail TEXT PRIMARY KEY,
         at INTEGER NOT NULL,
         login TEXT NOT NULL,
         sender TEXT NOT NULL,
         recipients TEXT NOT NULL
       ) STRICT, WITHOUT ROWID`,
      'CREATE INDEX trail_mail_by_age ON trail_mail (at)',
      `CREATE TABLE trail_event (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         mail TEXT NOT NULL,
         at INTEGER NOT NULL,
         event TEXT NOT NULL
       ) STRICT`,
      'CREATE INDEX trail_event_by_mail ON trail_event (mail, id)',
      'CREATE INDEX trail_event_by_age ON trail_event (at)',
    ],
  },
];

import type { Migration } from './migrations.ts';

/**
 * The tables of the revocation cache, a file of its own: everything in it can be fetched again, so it needs no backup, and
 * a large CRL that is written keeps nobody from the directory. Times are milliseconds since 1970 (UTC).
 */
export const revocationMigrations: readonly Migration[] = [
  {
    version: 1,
    statements: [
      `CREATE TABLE evidence (
         key TEXT PRIMARY KEY,
         der BLOB NOT NULL,
         octets INTEGER NOT NULL,
         fetched_at INTEGER NOT NULL,
         fresh_until INTEGER NOT NULL,
         used_at INTEGER NOT NULL
       ) STRICT`,
      'CREATE INDEX evidence_by_use ON evidence (used_at)',
      `CREATE TABLE known_issuer (
         fingerprint TEXT PRIMARY KEY,
         der BLOB NOT NULL,
         seen_at INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
    ],
  },
];

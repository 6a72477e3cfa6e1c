import { join } from 'node:path';
import type { Migration } from './migrations.ts';
import { openSqlite, type SqlStore } from './sqlite.ts';

/** Its file in the state folder. */
export const ROUTING = 'routing.sqlite';

/** What is known of the domains to which mail is taken: a file of its own, whose loss leaves those who block a fetch a chance. */
export const routingMigrations: readonly Migration[] = [
  {
    version: 1,
    statements: [
      `CREATE TABLE sts_policy (
         domain TEXT PRIMARY KEY,
         id TEXT NOT NULL,
         policy TEXT NOT NULL,
         fetched_at INTEGER NOT NULL,
         over_at INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
      'CREATE INDEX sts_policy_by_end ON sts_policy (over_at)',
    ],
  },
];

/** @throws SealgateError `store.unusable` */
export function openRoutingStore(stateFolder: string): Promise<SqlStore> {
  return openSqlite(join(stateFolder, ROUTING), routingMigrations);
}

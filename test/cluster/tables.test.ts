import { afterAll, beforeAll, expect, test } from 'vitest';
import { withShared } from '../../src/commands/kept-state.ts';
import type { Config } from '../../src/config/load.ts';
import { openCluster } from '../../src/gateway/cluster.ts';
import { Opened } from '../../src/gateway/opening.ts';
import { clusterTables } from '../../src/store/cluster-tables.ts';
import { openPostgresql, type PostgresqlStore } from '../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../src/store/postgresql-migrations.ts';
import { sql } from '../../src/store/sql-store.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { nodeConfig } from './support/node-config.ts';

/** Who may change the tables that running nodes share: a node that belongs to them. */

let server: Started<Postgresql>;
beforeAll(async () => {
  server = await postgresql();
});
afterAll(() => server.stop());

async function joined(config: Config) {
  const opened = new Opened();
  try {
    await openCluster({ config, log: { write: () => undefined }, opened });
  } finally {
    await opened.close();
  }
}

/** As a version has left them that knew less. */
async function withOlderTables(
  { directory: { store } }: Config,
  act: (older: PostgresqlStore) => Promise<void>,
) {
  if (store.kind !== 'postgresql') throw new Error(store.kind);
  const older = await openPostgresql(
    { ...store, tls: null },
    postgresqlMigrations.slice(0, -1),
    clusterTables().filter(({ name }) => name !== 'trail'),
  );
  try {
    await act(older);
  } finally {
    await older.close();
  }
}

async function tables(older: PostgresqlStore): Promise<readonly number[]> {
  const [row] = await older.query(
    sql`SELECT (SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace) AS tables,
      (SELECT max(version) FROM schema_version) AS version`,
  );
  return [Number(row?.tables), Number(row?.version)];
}

test('a command of a newer version leaves those of running nodes as they are, and says what to do', async () => {
  const config = nodeConfig(server, await server.database());
  await withOlderTables(config, async (older) => {
    const before = await tables(older);
    await expect(withShared(config, async () => 'done')).rejects.toMatchObject({
      code: 'cluster.tables',
      publicText: expect.stringMatching(/of an older version.*Start a node of this version/),
    });
    expect(await tables(older)).toEqual(before);
    await joined(config);
    expect(await withShared(config, async () => 'done')).toBe('done');
    expect(await tables(older)).not.toEqual(before);
    await older.query(sql`INSERT INTO schema_version_trail (version, applied_at) VALUES (1000, 0)`);
    await expect(withShared(config, async () => 'done')).rejects.toMatchObject({
      code: 'store.unusable',
    });
  });
});

test('a command with another secret, which would look for what nobody has written, does nothing', async () => {
  const database = await server.database();
  await joined(nodeConfig(server, database));
  const other = nodeConfig(server, database, 'b');
  await expect(withShared(other, async () => 'done')).rejects.toMatchObject({ code: 'cluster.differs' });
});

test('a command makes none where no node has started yet', async () => {
  const config = nodeConfig(server, await server.database());
  await expect(withShared(config, async () => 'done')).rejects.toMatchObject({
    code: 'cluster.tables',
    publicText: expect.stringMatching(/no tables.*Start a node/),
  });
});

test('a node that does not belong to them changes nothing before it is sent away', async () => {
  const config = nodeConfig(server, await server.database());
  await withOlderTables(config, async (older) => {
    await older.query(
      sql`INSERT INTO cluster_identity (one, proof) VALUES (1, 'of another one gw.example.org')`,
    );
    const before = await tables(older);
    await expect(joined(config)).rejects.toMatchObject({ code: 'cluster.differs' });
    expect(await tables(older)).toEqual(before);
  });
});

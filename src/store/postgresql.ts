import { setTimeout as pause } from 'node:timers/promises';
import { Client, type Pool, type PoolClient } from 'pg';
import { limits } from '../limits.ts';
import type { Migration } from './migrations.ts';
import { connection, type PostgresqlPlace, pool } from './postgresql-connection.ts';
import { postgresqlFault } from './postgresql-faults.ts';
import { migratePostgresql, type TableSet } from './postgresql-migrate.ts';
import type { Row, SqlStore, Statement } from './sql-store.ts';
import { InDoubt, storeUnavailable } from './sql-store.ts';

/**
 * SQL by PostgreSQL, for several gateways at once. Connections are made when they are needed and made anew when they break; an
 * outage is `store.unavailable` as long as it lasts, at the start too. Transactions are serializable and tried again
 * where the database says that another one was in the way.
 *
 * @throws SealgateError `store.unusable` (permanent): wrong password, no such database, a certificate that is not believed, tables
 * made by a newer version.
 *
 * @param further what is in the same database beside the first tables
 */
export async function openPostgresql(
  place: PostgresqlPlace,
  migrations: readonly Migration[],
  further: readonly TableSet[] = [],
): Promise<PostgresqlStore> {
  const store = new PostgresqlStore(place, [{ name: null, migrations }, ...further]);
  await store.open();
  return store;
}

/** The same, with whatever tables are there. */
export async function openPostgresqlAsItIs(place: PostgresqlPlace): Promise<PostgresqlStore> {
  const store = new PostgresqlStore(place, []);
  await store.open();
  return store;
}

/**
 * `serializable`: as if no other transaction ran at the same time, whatever it reads. `snapshot` (REPEATABLE READ): each sees one state of the
 * database, and of two that write the same row one is tried again; what is read and not written may have changed meanwhile. The second is for what
 * many do at once: where tables are small, serializable transactions are in each other's way although none concerns the other. `latest` (READ
 * COMMITTED): each row is seen as it is when the statement gets to it, for one that takes rows which nobody else has.
 */
export type Isolation = 'serializable' | 'snapshot' | 'latest';

export class PostgresqlStore implements SqlStore {
  readonly #place: PostgresqlPlace;
  readonly #sets: readonly TableSet[];
  readonly #pool: Pool;
  /** One connection; made when it is needed. */
  readonly #urgent: Pool;
  #migrated: Promise<void> | null = null;
  #closed = false;

  constructor(place: PostgresqlPlace, sets: readonly TableSet[]) {
    this.#place = place;
    this.#sets = sets;
    this.#pool = pool(place, place.connections);
    this.#urgent = pool(place, 1);
  }

  /** An outage is no reason not to start: whoever asks is told of it. */
  async open(): Promise<void> {
    try {
      await this.#ready();
    } catch (error) {
      const fault = postgresqlFault(error, this.#name());
      if (fault.duration === 'temporary') return;
      await this.close();
      throw fault;
    }
  }

  async query(statement: Statement): Promise<readonly Row[]> {
    const [rows] = await this.#run([statement], 'serializable');
    return rows ?? [];
  }

  async transaction(statements: readonly Statement[]): Promise<readonly (readonly Row[])[]> {
    return statements.length === 0 ? [] : this.#run(statements, 'serializable');
  }

  /** The same database and connections, with transactions that see a snapshot; closing it closes nothing. */
  snapshots(): SqlStore {
    const by = (from: Pool): SqlStore => ({
      clock: CLOCK,
      query: async (statement) => (await this.#run([statement], 'snapshot', from))[0] ?? [],
      transaction: async (statements) =>
        statements.length === 0 ? [] : this.#run(statements, 'snapshot', from),
      close: () => Promise.resolve(),
    });
    const taking: SqlStore['taking'] = {
      query: async (statement) => (await this.#run([statement], 'latest'))[0] ?? [],
    };
    return { ...by(this.#pool), urgent: by(this.#urgent), taking };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([this.#pool.end(), this.#urgent.end()]);
  }

  async #run(
    statements: readonly Statement[],
    isolation: Isolation,
    from = this.#pool,
  ): Promise<readonly (readonly Row[])[]> {
    if (this.#closed) throw storeUnavailable('it is closed');
    if (from.waitingCount >= limits.postgresql.waiting) {
      throw storeUnavailable('too many requests wait for it');
    }
    try {
      await this.#ready();
      return await this.#attempts(statements, isolation, from);
    } catch (error) {
      const fault = postgresqlFault(error, this.#name());
      // Whoever asks now has not caused what an administrator changed meanwhile: no mail is refused for good because of it.
      throw fault.duration === 'permanent' ? storeUnavailable(fault.publicText, fault) : fault;
    }
  }

  async #attempts(statements: readonly Statement[], isolation: Isolation, from: Pool): Promise<Row[][]> {
    const [only, ...others] = statements;
    const reads = only !== undefined && others.length === 0 && /^\s*SELECT\b/.test(only.sql);
    let conflicts = 0;
    let broken = 0;
    for (;;) {
      const client = await from.connect();
      const attempt: Attempt = { state: 'new' };
      try {
        const rows = await (reads
          ? inOrder(client, statements)
          : isolated(client, statements, attempt, isolation));
        client.release();
        return rows;
      } catch (error) {
        const conflict = isConflict(error);
        client.release(!(await rolledBack(client, error, attempt)));
        if (conflict && conflicts < limits.postgresql.conflicts) {
          // Whoever was in the way is let go first, each for a different time.
          await pause(Math.random() * 2 ** Math.min(++conflicts, 7));
          continue;
        }
        // A connection that was broken already when it was taken has changed nothing. On one that is silent enough was waited.
        const isBroken = !isSqlState(error) && !isSilence(error) && (reads || attempt.state === 'new');
        if (isBroken && broken++ < this.#place.connections) continue;
        if (attempt.state === 'committing' && !isSqlState(error)) throw inDoubt(error);
        throw error;
      }
    }
  }

  /** The tables, once for the life of this store; after an outage at the start, with the first request that gets through. */
  #ready(): Promise<void> {
    if (this.#migrated !== null) return this.#migrated;
    const migrated = this.#migrate();
    this.#migrated = migrated;
    migrated.catch(() => {
      if (this.#migrated === migrated) this.#migrated = null;
    });
    return migrated;
  }

  async #migrate(): Promise<void> {
    const client = new Client({
      ...connection(this.#place),
      connectionTimeoutMillis: this.#place.timeoutSeconds * 1_000,
      statement_timeout: limits.postgresql.migrationMilliseconds,
      query_timeout: limits.postgresql.migrationMilliseconds + 1_000,
      idle_in_transaction_session_timeout: this.#place.timeoutSeconds * 1_000,
    });
    // What breaks the connection fails the statement that is under way as well.
    client.on('error', () => undefined);
    try {
      await client.connect();
      await migratePostgresql(client, this.#sets);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  #name(): string {
    return `${this.#place.database} on ${this.#place.host}`;
  }
}

/** As it is when a statement begins: indexes can be asked for it. */
const CLOCK: Statement = {
  sql: '(extract(epoch FROM statement_timestamp()) * 1000)::bigint',
  parameters: [],
};

type Attempt = { state: 'new' | 'begun' | 'committing' };

const BEGIN: Readonly<Record<Isolation, string>> = {
  serializable: 'BEGIN ISOLATION LEVEL SERIALIZABLE',
  snapshot: 'BEGIN ISOLATION LEVEL REPEATABLE READ',
  latest: 'BEGIN ISOLATION LEVEL READ COMMITTED',
};

async function isolated(
  client: PoolClient,
  statements: readonly Statement[],
  attempt: Attempt,
  isolation: Isolation,
): Promise<Row[][]> {
  await client.query(BEGIN[isolation]);
  attempt.state = 'begun';
  const rows = await inOrder(client, statements);
  attempt.state = 'committing';
  await client.query('COMMIT');
  return rows;
}

async function inOrder(client: PoolClient, statements: readonly Statement[]): Promise<Row[][]> {
  const all: Row[][] = [];
  for (const { sql, parameters } of statements) {
    const { rows } = await client.query<Record<string, Row[string]>>({
      text: numbered(sql, parameters.length),
      values: [...parameters],
    });
    all.push(rows);
  }
  return all;
}

/**
 * Whether the connection can be used again. One that answered nothing is thrown away, and so is one to a server that only reads: the
 * next one finds the server that has taken its place.
 */
async function rolledBack(client: PoolClient, error: unknown, { state }: Attempt): Promise<boolean> {
  if (!isSqlState(error) || error.code === READ_ONLY) return false;
  if (state === 'new') return true;
  return client.query('ROLLBACK').then(
    () => true,
    () => false,
  );
}

/** `?` of a statement as `$1`, `$2` …: no text of ours has a `?` in it that is something else. */
function numbered(sql: string, count: number): string {
  let n = 0;
  const text = sql.replace(/\?/g, () => `$${++n}`);
  if (n !== count) throw new Error('a statement has another number of values than of places for them');
  return text;
}

/** serialization_failure and deadlock_detected: the same transaction may succeed when it is tried again. */
function isConflict(error: unknown): boolean {
  return isSqlState(error) && (error.code === '40001' || error.code === '40P01');
}

/** read_only_sql_transaction */
const READ_ONLY = '25006';

/** The driver's word for a server that has not answered in time. */
function isSilence(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}

function inDoubt(error: unknown): InDoubt {
  const said = error instanceof Error ? error.message : String(error);
  return new InDoubt(`nobody heard whether it was written: ${said}`, error);
}

/** An answer of the server, after which the connection goes on. Class 57P: it is being shut down; 08: it is broken. */
function isSqlState(error: unknown): error is Error & { code: string } {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    /^[0-9A-Z]{5}$/.test(error.code) &&
    !/^(08|57P)/.test(error.code)
  );
}

import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { Row, SqlValue, Statement } from './sql-store.ts';
import type { Request, Response, WorkerData } from './sqlite-protocol.ts';
import { writeAhead } from './write-ahead.ts';

/**
 * The thread that holds the database: node:sqlite is synchronous, and a slow disk must not stop the mail.
 * Requests are served one after the other. A module that does something on import: it is only ever run as a thread.
 */

/** Prepared statements kept; the code has a few dozen. */
const MOST_PREPARED = 256;
/** So long others are waited for, milliseconds. */
const PATIENCE_MS = 5_000;

const port = parentPort;
if (port !== null) serve(workerData as WorkerData, (response) => port.postMessage(response));

function serve(data: WorkerData, answer: (response: Response) => void): void {
  let database: DatabaseSync;
  try {
    database = open(data);
  } catch (error) {
    answer({ kind: 'unusable', reason: reasonOf(error) });
    return;
  }
  const prepared = new Map<string, StatementSync>();
  answer({ kind: 'opened' });
  port?.on('message', (request: Request) => {
    if (request.kind === 'close') {
      database.close();
      answer({ kind: 'done', id: request.id, rows: [] });
      port.close();
      return;
    }
    try {
      answer({ kind: 'done', id: request.id, rows: run(database, prepared, request.statements) });
    } catch (error) {
      answer({ kind: 'failed', id: request.id, reason: reasonOf(error) });
    }
  });
}

function open({ file, migrations, powerCut, tables }: WorkerData): DatabaseSync {
  // Made here, so that nobody else can read it (who writes to whom); SQLite gives -wal and -shm the same mode.
  closeSync(openSync(file, 'a', 0o600));
  const database = new DatabaseSync(file, { timeout: PATIENCE_MS });
  try {
    writeAhead(database, PATIENCE_MS);
    // What was answered survives a power cut where it matters: a delivered variant must not be delivered again.
    database.exec(`PRAGMA synchronous = ${powerCut === 'takes-nothing' ? 'FULL' : 'NORMAL'}`);
    database.exec('PRAGMA foreign_keys = ON');
    database.exec('PRAGMA trusted_schema = OFF');
    if (tables === 'as-they-are') refuseOlder(database, migrations);
    migrate(database, migrations);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** For a command: a gateway of the version that has made them may run, and could not go on with others. */
function refuseOlder(database: DatabaseSync, migrations: WorkerData['migrations']): void {
  const isNew =
    database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'").get() === undefined;
  if (isNew) return;
  const row = database.prepare('SELECT max(version) AS version FROM schema_version').get();
  if (typeof row?.version !== 'number' || row.version >= (migrations.at(-1)?.version ?? 0)) return;
  throw new Error(
    'its tables are of an older version, and commands change none beneath a gateway that runs. Start the gateway of this version first, or use the command of its own version',
  );
}

/** Each step is one transaction, so that a crash between two leaves a database that the next start continues. */
function migrate(database: DatabaseSync, migrations: WorkerData['migrations']): void {
  database.exec(
    'CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL, applied_at INTEGER NOT NULL) STRICT',
  );
  const newest = migrations.at(-1)?.version ?? 0;
  for (const { version, statements } of migrations) {
    database.exec('BEGIN IMMEDIATE');
    try {
      const row = database.prepare('SELECT max(version) AS version FROM schema_version').get();
      const present = typeof row?.version === 'number' ? row.version : 0;
      if (present > newest) {
        throw new Error(`it was made by a newer version (schema ${present}, this one knows ${newest})`);
      }
      if (present < version) {
        for (const statement of statements) database.exec(statement);
        database
          .prepare('INSERT INTO schema_version (version, applied_at) VALUES (?, ?)')
          .run(version, Date.now());
      }
      database.exec('COMMIT');
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  }
}

function run(
  database: DatabaseSync,
  prepared: Map<string, StatementSync>,
  statements: readonly Statement[],
): Row[][] {
  const all = () =>
    statements.map(({ sql, parameters }) => rowsOf(statementFor(database, prepared, sql), parameters));
  if (statements.length === 1) return all();
  database.exec('BEGIN IMMEDIATE');
  try {
    const rows = all();
    database.exec('COMMIT');
    return rows;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

function statementFor(
  database: DatabaseSync,
  prepared: Map<string, StatementSync>,
  sql: string,
): StatementSync {
  const known = prepared.get(sql);
  if (known !== undefined) return known;
  if (prepared.size >= MOST_PREPARED) prepared.clear();
  const statement = database.prepare(sql);
  prepared.set(sql, statement);
  return statement;
}

function rowsOf(statement: StatementSync, parameters: readonly SqlValue[]): Row[] {
  return statement.all(...parameters).map((row) => ({ ...row }) as Row);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

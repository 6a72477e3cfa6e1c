import { mkdir } from 'node:fs/promises';
import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { migrations as allMigrations, type Migration } from './migrations.ts';
import {
  type Row,
  type SqlStore,
  type SqlValue,
  type Statement,
  sql,
  storeUnavailable as unavailable,
  storeUnusable as unusable,
} from './sql-store.ts';
import type { PowerCut, Request, Response, Tables, WorkerData } from './sqlite-protocol.ts';

export { type Row, type SqlStore, type SqlValue, type Statement, sql };

/**
 * One node, one file, one thread: opens (and makes, and brings up to date) the database. Folder and file are made readable by the owner only.
 *
 * @throws SealgateError `store.unusable` (permanent): not a database, damaged, made by a newer version, not writable.
 */
export async function openSqlite(
  file: string,
  migrations: readonly Migration[] = allMigrations,
  powerCut: PowerCut = 'takes-nothing',
  tables: Tables = 'brought-up-to-date',
): Promise<SqlStore> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unusable(file, error instanceof Error ? error.message : String(error));
  }
  const store = new SqliteStore({ file, migrations, powerCut, tables });
  await store.open();
  return store;
}

/**
 * For commands, beside a gateway that may run: tables of an older version are left alone.
 *
 * @throws SealgateError `store.unusable` (permanent): as `openSqlite`, and where they are of an older version
 */
export function openSqliteAsItIs(
  file: string,
  migrations: readonly Migration[] = allMigrations,
  powerCut: PowerCut = 'takes-nothing',
): Promise<SqlStore> {
  return openSqlite(file, migrations, powerCut, 'as-they-are');
}

type Waiting = { resolve(rows: readonly (readonly Row[])[]): void; reject(error: Error): void };

/** The thread with the requests it has not answered. */
type Thread = { worker: Worker; waiting: Map<number, Waiting> };

class SqliteStore implements SqlStore {
  readonly #data: WorkerData;
  #thread: Promise<Thread> | null = null;
  #closed = false;
  #lastId = 0;

  constructor(data: WorkerData) {
    this.#data = data;
  }

  async open(): Promise<void> {
    await this.#running();
  }

  async query(statement: Statement): Promise<readonly Row[]> {
    const [rows] = await this.#run([statement]);
    return rows ?? [];
  }

  async transaction(statements: readonly Statement[]): Promise<readonly (readonly Row[])[]> {
    return statements.length === 0 ? [] : this.#run(statements);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#thread === null) return;
    const thread = await this.#thread.catch(() => null);
    if (thread === null) return;
    const ended = new Promise<void>((resolve) => thread.worker.once('exit', () => resolve()));
    await this.#send(thread, { id: ++this.#lastId, kind: 'close' });
    await ended;
  }

  async #run(statements: readonly Statement[]): Promise<readonly (readonly Row[])[]> {
    if (this.#closed) throw unavailable('it is closed');
    const thread = await this.#running();
    return this.#send(thread, { id: ++this.#lastId, kind: 'run', statements });
  }

  #send({ worker, waiting }: Thread, request: Request): Promise<readonly (readonly Row[])[]> {
    return new Promise((resolve, reject) => {
      waiting.set(request.id, { resolve, reject });
      worker.postMessage(request);
    });
  }

  /** A thread that ended is replaced by the next request: its database is as it was after its last transaction. */
  #running(): Promise<Thread> {
    if (this.#thread !== null) return this.#thread;
    const started = this.#start();
    this.#thread = started;
    started.catch(() => {
      if (this.#thread === started) this.#thread = null;
    });
    return started;
  }

  #start(): Promise<Thread> {
    return new Promise((resolve, reject) => {
      // The thread beside this file, whether this is the source or was compiled.
      const module = import.meta.url.endsWith('.ts') ? './sqlite-worker.ts' : './sqlite-worker.js';
      const worker = new Worker(new URL(module, import.meta.url), {
        workerData: this.#data,
        env: onlyCompiledCode(),
      });
      const waiting = new Map<number, Waiting>();
      let fault = 'its thread ended';
      worker.on('message', (response: Response) => {
        switch (response.kind) {
          case 'opened':
            resolve({ worker, waiting });
            break;
          case 'unusable':
            reject(unusable(this.#data.file, response.reason));
            break;
          case 'done':
            take(waiting, response.id)?.resolve(response.rows);
            break;
          case 'failed':
            take(waiting, response.id)?.reject(unavailable(response.reason));
            break;
        }
      });
      worker.on('error', (error) => {
        fault = error instanceof Error ? error.message : String(error);
      });
      worker.on('exit', () => {
        this.#thread = null;
        const error = unavailable(fault);
        reject(error);
        for (const { reject: rejectOne } of waiting.values()) rejectOne(error);
        waiting.clear();
      });
    });
  }
}

/** Nothing but where Node keeps what it makes of source text, if it does: without it each thread loads what reads TypeScript. */
function onlyCompiledCode(): NodeJS.ProcessEnv {
  const ofThisVersion = getCompileCacheDir();
  return ofThisVersion === undefined ? {} : { NODE_COMPILE_CACHE: dirname(ofThisVersion) };
}

function take(waiting: Map<number, Waiting>, id: number): Waiting | undefined {
  const one = waiting.get(id);
  waiting.delete(id);
  return one;
}

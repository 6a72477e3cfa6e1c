import { setTimeout as sleep } from 'node:timers/promises';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { InDoubt, type SqlStore, type Statement } from './sql-store.ts';

/** What became of a transaction that failed: all of it is there, nothing is and nothing will be, or nobody can say it. */
export type Fate = 'written' | 'absent' | 'unknown';

/** How a row is told that only this transaction would have written. */
export type Witness = {
  /** A row with the same key, ON CONFLICT DO NOTHING: it waits where the transaction has not ended yet. */
  stand: Statement;
  /** Takes that one away again, and never the transaction's own. */
  leave: Statement;
  /** The transaction's own. */
  find: Statement;
};

/**
 * What became of a transaction, asked until the database says it or too much time has passed. Where its commit had no answer it may still be
 * under way: that no row is seen says nothing then, and what it names must not go.
 *
 * @param error that the transaction has led to
 */
export async function fateAfter(error: unknown, store: SqlStore, witness: Witness): Promise<Fate> {
  const isInDoubt = error instanceof InDoubt;
  const until = performance.now() + limits.postgresql.doubtMilliseconds;
  for (;;) {
    const rows = await rowsOf(store, witness, isInDoubt);
    if (rows !== null) return rows > 0 ? 'written' : 'absent';
    if (!isInDoubt || performance.now() > until) return 'unknown';
    await sleep(ASKED_EVERY_MS);
  }
}

const ASKED_EVERY_MS = 250;

/** null: the database does not say it now. */
async function rowsOf(
  store: SqlStore,
  { stand, leave, find }: Witness,
  isInDoubt: boolean,
): Promise<number | null> {
  try {
    const rows = isInDoubt ? (await store.transaction([stand, leave, find])).at(-1) : await store.query(find);
    return rows?.length ?? 0;
  } catch (error) {
    if (error instanceof SealgateError) return null;
    throw error;
  }
}

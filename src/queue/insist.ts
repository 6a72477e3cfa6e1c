import { setTimeout as sleep } from 'node:timers/promises';
import { SealgateError } from '../errors.ts';
import type { Row, SqlStore, Statement } from '../store/sql-store.ts';

/** How long after the first failure of the database it is tried again, and how long at most. */
export const INSIST_MS = { first: 200, most: 30_000 };

/**
 * Writes it down, and does not give up before `stopping`: what was delivered has to be written, since a second try would bring a second copy.
 *
 * @param failed told of each failure, after which nobody knows whether it was written
 * @returns null: it was given up. @throws what is no fault of the database
 */
export async function insistOn(
  store: SqlStore,
  statements: readonly Statement[],
  { failed, stopping }: { failed: (error: SealgateError) => void; stopping: AbortSignal },
): Promise<readonly (readonly Row[])[] | null> {
  for (let wait = INSIST_MS.first; ; wait = Math.min(INSIST_MS.most, wait * 2)) {
    try {
      return await store.transaction(statements);
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      failed(error);
      if (stopping.aborted) return null;
    }
    await sleep(wait, null, { signal: stopping }).catch(() => null);
  }
}

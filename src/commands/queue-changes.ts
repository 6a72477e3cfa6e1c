import { type Chosen, flush, hold, type Progress, release, retryNow } from '../queue/by-hand.ts';
import type { SqlStore } from '../store/sql-store.ts';

/** What is done to those that are chosen, and what is said of it. */
export type Change = {
  act(store: SqlStore, chosen: Chosen, now: Date, progress: Progress): Promise<number>;
  key: string;
  done: string;
  /** Why nothing was done to some that are chosen; empty: there is no more to say. */
  left(changed: number, after: { all: number; held: number }): string;
};

export const RETRY: Change = {
  ...{ act: retryNow, key: 'due', done: 'due now.' },
  left(changed, { all, held }) {
    if (held > 0) return `${count(held)} held until “sealgate queue release”.`;
    return changed > 0 || all === 0 ? '' : 'Nothing of that was tried before: name it by its id.';
  },
};
export const FLUSH: Change = {
  ...RETRY,
  act: (store, { destination = '' }, now, progress) => flush(store, destination, now, progress),
};
export const HOLD: Change = {
  ...{ act: hold, key: 'held', done: 'held. What is being delivered in this moment may still arrive.' },
  left: (changed, { held }) => (changed > 0 || held === 0 ? '' : `${count(held)} held already.`),
};
export const RELEASE: Change = {
  ...{ act: release, key: 'released', done: 'due now.' },
  left: (changed, { all }) => (changed > 0 || all === 0 ? '' : 'Nothing of that is held.'),
};

export function count(deliveries: number): string {
  return deliveries === 1 ? 'One delivery is' : `${deliveries} deliveries are`;
}

import { limits } from '../limits.ts';
import { printable } from '../log/printable.ts';
import {
  type Chosen,
  destinations,
  flush,
  hold,
  type Progress,
  release,
  retryNow,
} from '../queue/by-hand.ts';
import type { SqlStore } from '../store/sql-store.ts';

/** What is done to those that are chosen, and what is said of it. */
export type Change = {
  act(store: SqlStore, chosen: Chosen, now: Date, progress: Progress): Promise<number>;
  key: string;
  done: string;
  /** Why nothing was done to some that are chosen; empty: there is no more to say. */
  left(changed: number, after: { all: number; held: number }): string;
  /** Where nothing is like what was chosen. */
  nothing(store: SqlStore, chosen: Chosen): Promise<string>;
};

export const NOTHING_LIKE_THAT =
  'There is nothing like that in the queue: “sealgate queue list” shows what is.';
const nothing = async () => NOTHING_LIKE_THAT;

export const RETRY: Change = {
  ...{ act: retryNow, key: 'due', done: 'due now.', nothing },
  left(changed, { all, held }) {
    if (held > 0) return `${count(held)} held until “sealgate queue release”.`;
    return changed > 0 || all === 0 ? '' : 'Its time has not begun: name it by its id, if that is meant.';
  },
};
export const FLUSH: Change = {
  ...RETRY,
  act: (store, { destination = '' }, now, progress) => flush(store, destination, now, progress),
  // People write a domain, or the name of a route.
  async nothing(store, { destination = '' }) {
    const others = await destinations(store, limits.queue.namedDestinations);
    const named =
      others.length === 0 ? 'nothing is in the queue.' : `mail is there for ${others.join(', ')}.`;
    return printable(`Nothing waits for the destination ${destination}: ${named}`);
  },
};
export const HOLD: Change = {
  ...{ act: hold, key: 'held', done: 'held. What is being delivered in this moment may still arrive.' },
  nothing,
  left: (changed, { held }) => (changed > 0 || held === 0 ? '' : `${count(held)} held already.`),
};
export const RELEASE: Change = {
  ...{ act: release, key: 'released', done: 'due now.', nothing },
  left: (changed, { all }) => (changed > 0 || all === 0 ? '' : 'Nothing of that is held.'),
};

export function count(deliveries: number): string {
  return deliveries === 1 ? 'One delivery is' : `${deliveries} deliveries are`;
}

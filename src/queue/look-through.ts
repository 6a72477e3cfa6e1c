import { setImmediate as turn } from 'node:timers/promises';
import type { SqlStore } from '../store/sql-store.ts';
import { linesAfter } from './lines.ts';
import type { Places } from './places.ts';
import type { Line, Way } from './ports.ts';

/** Of the time, at most one part in so many is spent on looking. */
const SHARE = 10;

/**
 * Looks through all rows for what is due, and goes on where there was no room for more the last time: whoever stands at the end of a long
 * queue is found, too.
 */
export class LookThrough {
  readonly #store: SqlStore;
  readonly #from: Record<Way['kind'], Line | null> = { smtp: null, append: null };
  #notBefore = 0;

  constructor(store: SqlStore) {
    this.#store = store;
  }

  /**
   * Nothing is done where it was done a moment ago.
   *
   * @param found told now and then that something may be due
   * @throws SealgateError `store.unavailable`
   */
  async all(places: Places, clock: () => Date, signal: AbortSignal, found: () => void): Promise<void> {
    const begun = performance.now();
    if (begun < this.#notBefore) return;
    for (const kind of ['append', 'smtp'] as const) await this.#all(kind, places, { clock, signal, found });
    this.#notBefore = performance.now() + (performance.now() - begun) * (SHARE - 1);
  }

  async #all(
    kind: Way['kind'],
    places: Places,
    { clock, signal, found }: { clock: () => Date; signal: AbortSignal; found: () => void },
  ): Promise<void> {
    const from = this.#from[kind];
    this.#from[kind] = null;
    for (let after = from; !signal.aborted; ) {
      const lines = await linesAfter(this.#store, kind, after);
      const now = clock();
      for (const line of lines) {
        if (!places.expect(line, line.at, now)) {
          this.#from[kind] = after;
          found();
          return;
        }
        after = { place: line.place, lane: line.lane };
      }
      if (lines.length === 0) return;
      found();
      await turn();
    }
  }
}

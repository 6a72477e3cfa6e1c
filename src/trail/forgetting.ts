import { limits } from '../limits.ts';
import { type SqlStore, type Statement, sql } from '../store/sql-store.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const HOUR_MS = 60 * 60 * 1000;

export type ForgettingParts = {
  store: SqlStore;
  /** How long it is kept; 0: not at all. */
  days: number;
  /** How many rows are kept; `limits.trail.rows` when absent. */
  rows?: number;
  clock: () => Date;
};

/**
 * Forgets what is older than its days, and the oldest where there is too much: at the start, once an hour whether mail comes or not, and
 * whenever so much was written that there may be too much.
 *
 * Holds: a piece at a time, so that what is written meanwhile waits for a piece only.
 */
export class Forgetting {
  readonly #store: SqlStore;
  readonly #days: number;
  readonly #rows: number;
  readonly #clock: () => Date;
  readonly #timer: NodeJS.Timeout;
  #written = 0;
  #closed = false;
  #again = false;
  #working: Promise<void> | null = null;

  constructor({ store, days, rows = limits.trail.rows, clock }: ForgettingParts) {
    this.#store = store;
    this.#days = days;
    this.#rows = rows;
    this.#clock = clock;
    this.#timer = setInterval(() => void this.forget(), HOUR_MS).unref();
    void this.forget();
  }

  /** So many rows came. */
  wrote(rows: number): void {
    this.#written += rows;
    if (this.#written >= this.#rows / 100) void this.forget();
  }

  /** Everything that is over by now is gone when it resolves. What cannot be deleted now is the next time's. Never rejects. */
  forget(): Promise<void> {
    this.#again = true;
    this.#working ??= this.#work().finally(() => {
      this.#working = null;
    });
    return this.#working;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#working;
  }

  async #work(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      this.#written = 0;
      try {
        await this.#forgetAll();
      } catch {
        // A database that is away is told of by whoever writes to it.
        return;
      }
    }
  }

  async #forgetAll(): Promise<void> {
    const oldest = keptSince(this.#clock(), this.#days).getTime();
    await this.#pieces((most) => rowsWhere(sql`at <= ${oldest}`, 'at', most));
    await this.#pieces((most) => mailsBefore(sql`at <= ${oldest}`, most));
    const [newest] = await this.#store.query(sql`SELECT max(id) AS id FROM trail_event`);
    const tooOld = Number(newest?.id ?? 0) - this.#rows;
    if (tooOld <= 0) return;
    await this.#pieces((most) => rowsWhere(sql`id <= ${tooOld}`, 'id', most));
    // A mail is as old as its first step.
    await this.#pieces((most) => mailsBefore(sql`at < (SELECT min(at) FROM trail_event)`, most));
  }

  async #pieces(deleting: (most: number) => Statement): Promise<void> {
    const most = limits.trail.forgottenAtOnce;
    while (!this.#closed && (await this.#store.query(deleting(most))).length === most);
  }
}

/** What is not newer is not kept. */
export function keptSince(now: Date, days: number): Date {
  return new Date(now.getTime() - days * DAY_MS);
}

function rowsWhere(condition: Statement, order: 'at' | 'id', most: number): Statement {
  const by = { sql: order, parameters: [] };
  return sql`DELETE FROM trail_event WHERE id IN (SELECT id FROM trail_event WHERE ${condition} ORDER BY ${by} LIMIT ${most}) RETURNING 1 AS gone`;
}

function mailsBefore(condition: Statement, most: number): Statement {
  return sql`DELETE FROM trail_mail WHERE mail IN (SELECT mail FROM trail_mail WHERE ${condition} ORDER BY at LIMIT ${most}) RETURNING 1 AS gone`;
}

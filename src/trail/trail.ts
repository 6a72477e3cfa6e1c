import { limits } from '../limits.ts';
import type { Event } from '../log/events.ts';
import type { Log } from '../log/log.ts';
import { type SqlStore, type SqlValue, type Statement, sql } from '../store/sql-store.ts';
import { Forgetting } from './forgetting.ts';

/** A line of the log that is about one mail. */
export type MailEvent = Extract<Event, { mail: unknown }>;

type Unwritten = { at: number; event: MailEvent };

/** What is written together: a mail must not cost a transaction. */
const WRITE_AFTER_MS = 250;

export type TrailParts = {
  store: SqlStore;
  /** Which of several gateways writes it; absent: there is one. */
  node?: string;
  /** How long it is kept. */
  days: number;
  /** How many rows are kept; `limits.trail.rows` when absent. */
  rows?: number;
  clock: () => Date;
  /** Where every line goes besides. */
  log: Log;
};

/**
 * The log, and beside it the trail of each mail: from when it was taken to its last delivery, kept for whoever asks what became of it.
 *
 * Holds: mail never waits for its trail. What cannot be written down is lost, and said once until it can be again; a crash takes the last
 * moments.
 */
export class Trail implements Log {
  readonly #parts: TrailParts;
  readonly #forgetting: Forgetting;
  #unwritten: Unwritten[] = [];
  #lost = 0;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();
  #failing = false;

  constructor(parts: TrailParts) {
    this.#parts = parts;
    this.#forgetting = new Forgetting(parts);
  }

  write(event: Event): void {
    this.#parts.log.write(event);
    if (!isOfMail(event)) return;
    if (this.#unwritten.length >= limits.trail.unwritten) {
      this.#lost++;
      return;
    }
    this.#unwritten.push({ at: this.#parts.clock().getTime(), event });
    this.#timer ??= setTimeout(() => void this.flush(), WRITE_AFTER_MS);
  }

  /** Everything that was said up to now is written down, or lost. Never rejects. */
  flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#forgetting.close();
  }

  async #write(): Promise<void> {
    const events = this.#unwritten;
    this.#unwritten = [];
    if (events.length === 0) return;
    let written = 0;
    try {
      while (written < events.length) {
        const some = events.slice(written, written + limits.trail.writtenAtOnce);
        const { rows, statements } = rowsOf(some, this.#parts.node ?? null);
        await this.#parts.store.transaction(statements);
        written += some.length;
        this.#forgetting.wrote(rows);
      }
      this.#failing = false;
      if (this.#lost > 0) this.#tellLost('more came than could be written down');
    } catch (error) {
      this.#lost += events.length - written;
      if (!this.#failing) this.#tellLost(error instanceof Error ? error.message : String(error));
      this.#failing = true;
      this.#lost = 0;
    }
  }

  #tellLost(reason: string): void {
    this.#parts.log.write({ event: 'trail.unavailable', level: 'error', events: this.#lost, reason });
    this.#lost = 0;
  }
}

function isOfMail(event: Event): event is MailEvent {
  // Whoever reads uses a key for each mail that is opened: that is the log's.
  if (event.event === 'key.used' && event.operation === 'decrypt') return false;
  return 'mail' in event && event.mail !== null;
}

/**
 * A row for each mail with all that happened to it meanwhile: most have all their steps in one. Rows go many to a statement, which is one way
 * there and back for any database, and in few numbers of them, so that a prepared statement is found again.
 */
function rowsOf(
  events: readonly Unwritten[],
  node: string | null,
): { rows: number; statements: Statement[] } {
  const lines = Array.from(stepsByMail(events), ([mail, steps]) => {
    return [mail, steps[0]?.at ?? 0, written(steps, node)];
  });
  const mails = events.flatMap(({ at, event }) => {
    if (event.event !== 'mail.taken') return [];
    const [login, from, to] = [event.principal, event.from, event.to].map((text) => text.toLowerCase());
    return [[String(event.mail), at, login ?? '', from ?? '', to ?? '']];
  });
  const statements = [
    ...inRuns(lines).map((run) => sql`INSERT INTO trail_event (mail, at, event) VALUES ${run}`),
    ...inRuns(mails).map(
      (run) =>
        sql`INSERT INTO trail_mail (mail, at, login, sender, recipients) VALUES ${run} ON CONFLICT (mail) DO NOTHING`,
    ),
  ];
  return { rows: lines.length, statements };
}

function stepsByMail(events: readonly Unwritten[]): Map<string, Unwritten[]> {
  const byMail = new Map<string, Unwritten[]>();
  for (const step of events) {
    const steps = byMail.get(String(step.event.mail));
    if (steps === undefined) byMail.set(String(step.event.mail), [step]);
    else steps.push(step);
  }
  return byMail;
}

/** As `read-trail.ts` reads it. */
function written(steps: readonly Unwritten[], node: string | null): string {
  const by = node === null ? '' : `"node":${JSON.stringify(node)},`;
  return `[${steps.map(({ at, event }) => `{"at":${at},${by}"event":${bounded(event)}}`).join(',')}]`;
}

/** Whatever a stranger's reason says: a line has a bound. */
function bounded(event: MailEvent): string {
  const text = JSON.stringify(event);
  const most = limits.trail.textCharacters;
  if (text.length <= most) return text;
  return JSON.stringify(event, (_, value) =>
    typeof value === 'string' && value.length > most ? `${value.slice(0, most)}…` : value,
  );
}

const MOST_IN_A_RUN = 64;

/** What stands behind VALUES, in order: rows in runs of a power of two. */
function inRuns(rows: readonly (readonly SqlValue[])[]): Statement[] {
  const runs: Statement[] = [];
  for (let from = 0, length = MOST_IN_A_RUN; from < rows.length; ) {
    if (from + length > rows.length) length /= 2;
    else {
      const run = rows.slice(from, from + length);
      runs.push({ sql: run.map(placesOf).join(', '), parameters: run.flat() });
      from += length;
    }
  }
  return runs;
}

function placesOf(row: readonly SqlValue[]): string {
  return `(${row.map(() => '?').join(', ')})`;
}

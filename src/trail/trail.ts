import { limits } from '../limits.ts';
import type { Event } from '../log/events.ts';
import type { Log } from '../log/log.ts';
import { type SqlStore, type Statement, sql } from '../store/sql-store.ts';
import { Forgetting } from './forgetting.ts';

/** A line of the log that is about one mail. */
export type MailEvent = Extract<Event, { mail: unknown }>;

type Unwritten = { at: number; event: MailEvent };

/** What is written together: a mail must not cost a transaction. */
const WRITE_AFTER_MS = 250;

export type TrailParts = {
  store: SqlStore;
  /** How long it is kept. */
  days: number;
  /** How many lines are kept; `limits.trail.lines` when absent. */
  lines?: number;
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
        await this.#parts.store.transaction(statementsOf(some));
        written += some.length;
        this.#forgetting.wrote(some.length);
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

/** One statement for all of a kind, which is one way there and back for any database. */
function statementsOf(events: readonly Unwritten[]): Statement[] {
  const lines = events.map(({ at, event }) => sql`(${String(event.mail)}, ${at}, ${written(event)})`);
  const mails = events.flatMap(({ at, event }) => {
    if (event.event !== 'mail.taken') return [];
    const [login, from, to] = [event.principal, event.from, event.to].map((text) => text.toLowerCase());
    return [sql`(${String(event.mail)}, ${at}, ${login ?? ''}, ${from ?? ''}, ${to ?? ''})`];
  });
  return [
    sql`INSERT INTO trail_event (mail, at, event) VALUES ${joined(lines)}`,
    ...(mails.length === 0
      ? []
      : [
          sql`INSERT INTO trail_mail (mail, at, login, sender, recipients) VALUES ${joined(mails)} ON CONFLICT (mail) DO NOTHING`,
        ]),
  ];
}

/** Whatever a stranger's reason says: a line has a bound. */
function written(event: MailEvent): string {
  const text = JSON.stringify(event);
  const most = limits.trail.textCharacters;
  if (text.length <= most) return text;
  return JSON.stringify(event, (_, value) =>
    typeof value === 'string' && value.length > most ? `${value.slice(0, most)}…` : value,
  );
}

function joined(parts: readonly Statement[]): Statement {
  return {
    sql: parts.map((part) => part.sql).join(', '),
    parameters: parts.flatMap(({ parameters }) => parameters),
  };
}

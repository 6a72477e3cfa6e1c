import { limits } from '../limits.ts';
import { type Row, type SqlStore, type Statement, sql } from './sql-store.ts';

/** As reading asks for it (reading/epochs/told-uid-validity.ts). */
export type ToldMailbox = {
  key: string;
  upstream: number;
  epoch: number;
  told: number;
  highest: number;
};

/** Epochs of mailboxes, and what clients were told in them, in a database of its own (epoch-migrations.ts). */
export class SqliteEpochs {
  readonly #store: SqlStore;
  readonly #now: () => Date;

  constructor(store: SqlStore, now: () => Date) {
    this.#store = store;
    this.#now = now;
  }

  async withEpoch(reader: string): Promise<Map<string, ToldMailbox>> {
    const rows = await this.#store.query(
      sql`SELECT name, mailbox, upstream, epoch, told, highest FROM told_mailbox WHERE reader = ${reader} AND epoch > 0`,
    );
    return new Map(rows.map((row) => [String(row.name), toldMailbox(row)]));
  }

  async find(reader: string, name: string, key: string | null) {
    const [named = [], moved = [], due = []] = await this.#store.transaction([
      sql`SELECT mailbox, upstream, epoch, told, highest FROM told_mailbox WHERE reader = ${reader} AND name = ${name}`,
      sql`SELECT mailbox, upstream, epoch, told, highest FROM told_mailbox
          WHERE reader = ${reader} AND mailbox = ${key ?? ''} AND name <> ${name} ORDER BY told DESC LIMIT 1`,
      dueOf(reader, name),
    ]);
    return { named: first(named), moved: first(moved), due: Number(due[0]?.due ?? 0) };
  }

  async put(reader: string, name: string, row: ToldMailbox): Promise<void> {
    const { key, upstream, epoch, told, highest } = row;
    const { mailboxesOfLogin, nameCharacters } = limits.epochs;
    // Of a login that has too many, those without an epoch are not remembered: an epoch of theirs begins as if they were known.
    const isKept = epoch > 0 ? 1 : 0;
    await this.#store.transaction([
      sql`INSERT INTO told_mailbox (reader, name, mailbox, upstream, epoch, told, highest)
          SELECT ${reader}, ${name}, ${key}, ${upstream}, ${epoch}, ${told}, ${highest}
          WHERE ${isKept} = 1
             OR EXISTS (SELECT 1 FROM told_mailbox WHERE reader = ${reader} AND name = ${name})
             OR (length(${name}) <= ${nameCharacters}
                 AND (SELECT count(*) FROM told_mailbox WHERE reader = ${reader}) < ${mailboxesOfLogin})
          ON CONFLICT (reader, name) DO UPDATE SET mailbox = excluded.mailbox, upstream = excluded.upstream,
            epoch = excluded.epoch, told = excluded.told, highest = excluded.highest`,
    ]);
  }

  async renamed(reader: string, from: string, to: string, delimiter: string | null): Promise<void> {
    const below = delimiter === null ? null : from + delimiter;
    const rows = await this.#store.query(
      sql`SELECT name FROM told_mailbox WHERE reader = ${reader}
          UNION SELECT name FROM epoch WHERE reader = ${reader} AND name <> ''`,
    );
    const names = rows
      .map(({ name }) => String(name))
      .filter((name) => name === from || (below !== null && name.startsWith(below)));
    await this.#store.transaction(
      names.flatMap((name) => {
        const next = to + name.slice(from.length);
        return [
          // Of a name that was there before, what was told of it counts: the mailbox is told of as another one.
          sql`INSERT INTO told_mailbox (reader, name, mailbox, upstream, epoch, told, highest)
              SELECT reader, ${next}, CASE WHEN mailbox = ${`name ${name}`} THEN ${`name ${next}`} ELSE mailbox END,
                upstream, epoch, told, highest
              FROM told_mailbox WHERE reader = ${reader} AND name = ${name}
              ON CONFLICT (reader, name) DO NOTHING`,
          // Its epoch goes with it, whether a session has begun with it or not.
          sql`INSERT INTO epoch (reader, name, why, epoch, begun_at)
              SELECT reader, ${next}, why, epoch, begun_at FROM epoch WHERE reader = ${reader} AND name = ${name}
              ON CONFLICT (reader, name, why) DO UPDATE SET epoch = CASE WHEN epoch.epoch > excluded.epoch THEN epoch.epoch ELSE excluded.epoch END`,
        ];
      }),
    );
  }

  /** The newest epoch of that mailbox that somebody wanted for its own sake, whatever the records say; 0: none. */
  async wanted(reader: string, name: string): Promise<number> {
    const [row] = await this.#store.query(
      sql`SELECT max(epoch) AS due FROM epoch
          WHERE reader = ${reader} AND name IN ('', ${name}) AND why = 'command'`,
    );
    return Number(row?.due ?? 0);
  }

  /** Begins an epoch of a mailbox, or of all of a login; sessions begin with it at their next SELECT. Returns its number. */
  async begin(reader: string, name: string | null): Promise<number> {
    const [rows = []] = await this.#store.transaction([this.#beginning(reader, name ?? '', 'command')]);
    return Number(rows[0]?.epoch ?? 0);
  }

  /** Begins one because what was served cannot be made again, unless there is one already that no session has begun with. */
  async need(reader: string, name: string): Promise<void> {
    const { named, due } = await this.find(reader, name, null);
    if (due > (named?.epoch ?? 0)) return;
    await this.#store.transaction([this.#beginning(reader, name, 'need')]);
  }

  /** The same of all mailboxes of everybody. */
  async needForAll(): Promise<void> {
    await this.#store.transaction([this.#beginning('', '', 'need')]);
  }

  /** Mailboxes of a login that were ever selected; `name`: whether that one was. */
  async known(reader: string, name: string | null): Promise<number> {
    const [row] = await this.#store.query(
      sql`SELECT count(*) AS n FROM told_mailbox WHERE reader = ${reader} AND (${name === null ? 1 : 0} = 1 OR name = ${name})`,
    );
    return Number(row?.n ?? 0);
  }

  /** Which records the epochs are about; null: there were none so far. */
  async recordsIdentity(): Promise<string | null> {
    const [row] = await this.#store.query(sql`SELECT id FROM records_identity`);
    return row === undefined ? null : String(row.id);
  }

  async setRecordsIdentity(id: string): Promise<void> {
    await this.#store.query(
      sql`INSERT INTO records_identity (one, id) VALUES (1, ${id}) ON CONFLICT (one) DO UPDATE SET id = excluded.id`,
    );
  }

  /** Larger than every other one, so that all mailboxes have the same order of them. */
  #beginning(reader: string, name: string, why: 'command' | 'need'): Statement {
    return sql`INSERT INTO epoch (reader, name, why, epoch, begun_at)
      SELECT ${reader}, ${name}, ${why}, 1 + coalesce((SELECT max(epoch) FROM epoch), 0), ${this.#now().getTime()}
      WHERE true
      ON CONFLICT (reader, name, why) DO UPDATE SET epoch = excluded.epoch, begun_at = excluded.begun_at
      RETURNING epoch`;
  }
}

function dueOf(reader: string, name: string): Statement {
  return sql`SELECT max(epoch) AS due FROM epoch WHERE reader IN ('', ${reader}) AND name IN ('', ${name})`;
}

function first(rows: readonly Row[]): ToldMailbox | null {
  const [row] = rows;
  return row === undefined ? null : toldMailbox(row);
}

function toldMailbox({ mailbox, upstream, epoch, told, highest }: Row): ToldMailbox {
  return {
    key: String(mailbox),
    ...{ upstream: Number(upstream), epoch: Number(epoch), told: Number(told), highest: Number(highest) },
  };
}

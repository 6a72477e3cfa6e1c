import { limits } from '../limits.ts';
import { type SqlStore, type Statement, sql } from './sql-store.ts';

/** As src/imap-proxy asks for it (append/storing.ts). */
export interface AtRestMailboxes {
  /** Whether there is one of this login. */
  any(login: string): Promise<boolean>;
  has(login: string, mailbox: string): Promise<boolean>;
  add(login: string, mailbox: string): Promise<void>;
  /** With everything below it. `delimiter`: null where the server has no hierarchy. */
  renamed(login: string, from: string, to: string, delimiter: string | null): Promise<void>;
}

/** In which mailboxes of which login mail lies that this gateway has encrypted, so that it is found there whatever the rules say later. */
export function atRestMailboxes(store: SqlStore): AtRestMailboxes {
  return {
    async any(login) {
      const rows = await store.query(sql`SELECT 1 FROM at_rest_mailbox WHERE login = ${login} LIMIT 1`);
      return rows.length > 0;
    },
    async has(login, mailbox) {
      const rows = await store.query(
        sql`SELECT 1 FROM at_rest_mailbox WHERE login = ${login} AND mailbox = ${mailbox}`,
      );
      return rows.length > 0;
    },
    async add(login, mailbox) {
      await store.transaction([adding(login, mailbox)]);
    },
    async renamed(login, from, to, delimiter) {
      const rows = await store.query(sql`SELECT mailbox FROM at_rest_mailbox WHERE login = ${login}`);
      const below = delimiter === null ? null : from + delimiter;
      const names = rows
        .map(({ mailbox }) => String(mailbox))
        .filter((name) => name === from || (below !== null && name.startsWith(below)));
      // The old name stays: what is looked for in vain costs a search.
      await store.transaction(names.map((name) => adding(login, to + name.slice(from.length))));
    },
  };
}

/** Of a login that has too many, further ones are found by the rules alone. */
function adding(login: string, mailbox: string): Statement {
  const { mailboxesOfLogin, nameCharacters } = limits.atRest;
  return sql`INSERT INTO at_rest_mailbox (login, mailbox) SELECT ${login}, ${mailbox}
    WHERE length(${mailbox}) <= ${nameCharacters}
      AND (SELECT count(*) FROM at_rest_mailbox WHERE login = ${login}) < ${mailboxesOfLogin}
    ON CONFLICT DO NOTHING`;
}

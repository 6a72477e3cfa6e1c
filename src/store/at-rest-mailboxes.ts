import { type SqlStore, sql } from './sqlite.ts';

/** As src/imap-proxy asks for it (append/storing.ts). */
export interface AtRestMailboxes {
  has(login: string, mailbox: string): Promise<boolean>;
  add(login: string, mailbox: string): Promise<void>;
}

/** In which mailboxes of which login mail lies that this gateway has encrypted, so that it is found there whatever the rules say later. */
export function atRestMailboxes(store: SqlStore): AtRestMailboxes {
  return {
    async has(login, mailbox) {
      const rows = await store.query(
        sql`SELECT 1 FROM at_rest_mailbox WHERE login = ${login} AND mailbox = ${mailbox}`,
      );
      return rows.length > 0;
    },
    async add(login, mailbox) {
      await store.transaction([
        sql`INSERT OR IGNORE INTO at_rest_mailbox (login, mailbox) VALUES (${login}, ${mailbox})`,
      ]);
    },
  };
}

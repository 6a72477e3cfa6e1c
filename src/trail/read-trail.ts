import { allOf, containing, type Row, type SqlStore, type Statement, sql } from '../store/sql-store.ts';
import type { MailEvent } from './trail.ts';

/** Something that happened to a mail. `node`: at which of several gateways; absent: there is one. */
export type Step = { at: Date; node?: string; event: MailEvent };

/** As `trail.ts` writes it. */
type WrittenStep = Omit<Step, 'at'> & { at: number };

/** A mail as it was taken. */
export type TakenMail = { mail: string; at: Date; login: string; sender: string; recipients: string };

/** Oldest first. @param after what is not newer is over, though it may not be deleted yet */
export async function stepsOf(
  store: SqlStore,
  mail: string,
  after: Date,
  limit: number,
): Promise<readonly Step[]> {
  const rows = await store.query(
    sql`SELECT event FROM trail_event WHERE mail = ${mail} AND at > ${after.getTime()} ORDER BY id LIMIT ${limit}`,
  );
  return (
    rows
      .flatMap(({ event }) => JSON.parse(String(event)) as WrittenStep[])
      // Of several nodes each writes its own when it comes to it.
      .toSorted((one, other) => one.at - other.at)
      .slice(0, limit)
      .map(({ at, ...step }) => ({ at: new Date(at), ...step }))
  );
}

/** All that are given must hold; addresses in any letter case. */
export type Wanted = {
  /** Envelope sender, or login; empty: reports and the like, which have no sender. */
  from?: string;
  /** A recipient, or a part of one's address. */
  to?: string;
  since?: Date;
};

/** Newest first. @param after as of `stepsOf` */
export async function findMails(
  store: SqlStore,
  { from, to, since }: Wanted,
  after: Date,
  limit: number,
): Promise<readonly TakenMail[]> {
  const conditions: Statement[] = [sql`at > ${after.getTime()}`];
  if (from !== undefined) {
    const who = from.toLowerCase();
    // What other servers bring has no login.
    conditions.push(who === '' ? sql`sender = ''` : sql`sender = ${who} OR login = ${who}`);
  }
  if (to !== undefined) conditions.push(sql`recipients LIKE ${containing(to.toLowerCase())} ESCAPE '\\'`);
  if (since !== undefined) conditions.push(sql`at >= ${since.getTime()}`);
  const rows = await store.query(
    sql`SELECT mail, at, login, sender, recipients FROM trail_mail WHERE ${allOf(conditions)} ORDER BY at DESC LIMIT ${limit}`,
  );
  return rows.map(takenOf);
}

function takenOf({ mail, at, login, sender, recipients }: Row): TakenMail {
  return {
    mail: String(mail),
    at: new Date(Number(at)),
    ...{ login: String(login), sender: String(sender), recipients: String(recipients) },
  };
}

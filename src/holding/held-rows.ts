import type { MailId } from '../ids.ts';
import type { HoldTerms, MailToHold } from '../pipeline/waiting.ts';
import type { Parameter, Recipient, ReversePath } from '../smtp/envelope.ts';
import type { Witness } from '../store/in-doubt.ts';
import { allOf, type Row, type SqlStore, type Statement, sql } from '../store/sql-store.ts';
import { type Address, addressOf } from './address.ts';
import type { HeldState } from './held-mail.ts';

/** The rows of mail that waits. What became of a recipient is a row of its own, written once. */

/** What waits under the same terms: one mail, or a part of one. `spool` is also the name of its sealed file. */
export type HeldPart = Pick<MailToHold, 'id' | 'from' | 'login' | 'terms'> & {
  spool: string;
  listener: string;
  subject: string | null;
  reversePath: ReversePath;
  mailParameters: readonly Parameter[];
  /** There is a form of it that is readable by all. */
  readable: boolean;
  heldAt: Date;
  expiresAt: Date;
  recipients: readonly PartRecipient[];
};

export type PartRecipient = {
  position: number;
  address: string;
  recipient: Recipient;
  state: HeldState;
  because: string;
};

export function insertPart(
  spool: string,
  mail: MailToHold,
  { heldAt, expiresAt }: { heldAt: Date; expiresAt: Date },
): Statement[] {
  const { id, from, login, listener, shownSubject, envelope, terms, readable, recipients } = mail;
  const reversePath = envelope.reversePath === null ? null : JSON.stringify(envelope.reversePath);
  return [
    sql`INSERT INTO held (spool, mail, from_address, from_folded, login, listener, subject, reverse_path, parameters, terms,
          readable, held_at, expires_at)
        VALUES (${spool}, ${id}, ${from}, ${addressOf(from).folded}, ${login}, ${listener}, ${shownSubject}, ${reversePath},
          ${JSON.stringify(envelope.mailParameters)}, ${JSON.stringify(terms)}, ${readable === null ? 0 : 1},
          ${heldAt.getTime()}, ${expiresAt.getTime()})`,
    ...recipients.map(({ recipient, because }, position) => {
      const { exact, folded } = addressOf(recipient.mailbox);
      return sql`INSERT INTO held_recipient (spool, position, address, folded, recipient, because)
        VALUES (${spool}, ${position}, ${exact}, ${folded}, ${JSON.stringify(recipient)}, ${because})`;
    }),
  ];
}

/** Of the transaction that writes this part. */
export function heldWitness(spool: string): Witness {
  return {
    stand: sql`INSERT INTO held (spool, mail, from_address, from_folded, login, listener, parameters, terms, readable, held_at, expires_at)
      VALUES (${spool}, '', '', '', '', '', '', ${WITNESS}, 0, 0, 0) ON CONFLICT DO NOTHING`,
    leave: sql`DELETE FROM held WHERE spool = ${spool} AND terms = ${WITNESS}`,
    find: sql`SELECT 1 AS found FROM held WHERE spool = ${spool}`,
  };
}

/** In the place of terms, in a row that no other transaction ever sees. */
const WITNESS = '';

/** Fails where somebody has settled it already. `mark`: by what whoever writes this row knows it again. */
export function insertSettled(
  { spool, position }: { spool: string; position: number },
  settled: { state: Exclude<HeldState, 'waiting'>; because: string; mark: string; at: Date },
): Statement {
  const { state, because, mark, at } = settled;
  return sql`INSERT INTO held_settled (spool, position, state, because, mark, settled_at)
    VALUES (${spool}, ${position}, ${state}, ${because}, ${mark}, ${at.getTime()})`;
}

/** Why it still waits. A row where that is another reason than before. */
export function noteWaiting(spool: string, position: number, because: string): Statement {
  return sql`UPDATE held_recipient SET because = ${because}
    WHERE spool = ${spool} AND position = ${position} AND because <> ${because} RETURNING position`;
}

const WAITS = sql`EXISTS (SELECT 1 FROM held_recipient r WHERE r.spool = held.spool AND NOT EXISTS
  (SELECT 1 FROM held_settled s WHERE s.spool = r.spool AND s.position = r.position))`;

/** Parts of which somebody still waits. */
export const waits: Statement = WAITS;

export function isOfMail(id: MailId): Statement {
  return sql`mail = ${id}`;
}

export function isOf(spool: string): Statement {
  return sql`spool = ${spool}`;
}

export function waitsFor(folded: string): Statement {
  return sql`EXISTS (SELECT 1 FROM held_recipient r WHERE r.spool = held.spool AND r.folded = ${folded} AND NOT EXISTS
    (SELECT 1 FROM held_settled s WHERE s.spool = r.spool AND s.position = r.position))`;
}

export function isExpired(now: Date): Statement {
  return sql`expires_at <= ${now.getTime()}`;
}

export function isFrom({ folded }: Address): Statement {
  return sql`from_folded = ${folded}`;
}

/** For going through all of them, one page after another. */
export function isBehind(spool: string): Statement {
  return sql`spool > ${spool}`;
}

/** @param order `spool`: for pages; `newest`: the newest first */
export async function readParts(
  store: SqlStore,
  conditions: readonly Statement[],
  { order, limit }: { order: 'spool' | 'newest'; limit: number },
): Promise<readonly HeldPart[]> {
  const by = order === 'spool' ? sql`spool` : sql`held_at DESC, mail DESC, spool`;
  const chosen = sql`SELECT spool FROM held WHERE ${allOf(conditions)} ORDER BY ${by} LIMIT ${limit}`;
  const [rows = [], recipients = []] = await store.transaction([
    sql`SELECT * FROM held WHERE spool IN (${chosen}) ORDER BY ${by}`,
    sql`SELECT r.spool, r.position, r.address, r.recipient, r.because, s.state, s.because AS settled
        FROM held_recipient r LEFT JOIN held_settled s ON s.spool = r.spool AND s.position = r.position
        WHERE r.spool IN (${chosen}) ORDER BY r.spool, r.position`,
  ]);
  const ofPart = Map.groupBy(recipients, ({ spool }) => String(spool));
  return rows.map((row) => partOf(row, ofPart.get(String(row.spool)) ?? []));
}

/** How many parts there are, those that were settled a short while ago among them. */
export async function countParts(store: SqlStore): Promise<number> {
  const [row] = await store.query(sql`SELECT count(*) AS parts FROM held`);
  return Number(row?.parts ?? 0);
}

/** Names of the files of those for whom nobody waits any more. */
export const settledFiles: Statement = sql`SELECT spool FROM held WHERE NOT ${WAITS}`;

/** What became of one who waited. null: she still does. */
export async function readMark(store: SqlStore, spool: string, position: number): Promise<string | null> {
  const [row] = await store.query(
    sql`SELECT mark FROM held_settled WHERE spool = ${spool} AND position = ${position}`,
  );
  return row === undefined ? null : String(row.mark);
}

/** What nobody waits for any more and was settled before that goes; so does what was remembered of introductions and wishes. */
export function forgetOld(before: { settled: Date; introduced: Date; wished: Date }): Statement[] {
  return [
    sql`DELETE FROM held WHERE NOT ${WAITS} AND
      (SELECT max(s.settled_at) FROM held_settled s WHERE s.spool = held.spool) < ${before.settled.getTime()}`,
    sql`DELETE FROM introduced WHERE introduced_at < ${before.introduced.getTime()}`,
    sql`DELETE FROM held_wish WHERE wished_at < ${before.wished.getTime()}`,
  ];
}

function partOf(row: Row, recipients: readonly Row[]): HeldPart {
  return {
    spool: String(row.spool),
    id: String(row.mail) as MailId,
    from: String(row.from_address),
    login: String(row.login),
    listener: String(row.listener),
    subject: typeof row.subject === 'string' ? row.subject : null,
    reversePath: row.reverse_path === null ? null : (JSON.parse(String(row.reverse_path)) as ReversePath),
    mailParameters: JSON.parse(String(row.parameters)) as Parameter[],
    terms: JSON.parse(String(row.terms)) as HoldTerms,
    readable: row.readable === 1,
    heldAt: new Date(Number(row.held_at)),
    expiresAt: new Date(Number(row.expires_at)),
    recipients: recipients.map(({ position, address, recipient, because, state, settled }) => ({
      position: Number(position),
      address: String(address),
      recipient: JSON.parse(String(recipient)) as Recipient,
      state: typeof state === 'string' ? (state as HeldState) : 'waiting',
      because: String(typeof settled === 'string' ? settled : because),
    })),
  };
}

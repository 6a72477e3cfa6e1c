import type { MailId } from '../ids.ts';
import type { TlsDemand } from '../policy/rules.ts';
import type { Parameter, Recipient, ReversePath } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';
import type { Witness } from '../store/in-doubt.ts';
import { allOf, type Row, type SqlStore, type Statement, sql } from '../store/sql-store.ts';
import type { Claim } from './leases.ts';
import {
  type DeliveryId,
  type Destination,
  type Lane,
  type MailToDeliver,
  type Place,
  type Purpose,
  RETRIES,
  type Way,
} from './ports.ts';
import { overdueAt } from './schedule.ts';

/**
 * The rows of the queue. Whoever is to get the mail has a row; whoever has it, or will never have it, has none any more. SQL that SQLite and
 * PostgreSQL understand alike.
 *
 * Holds: what becomes of a delivery is written by whoever holds its lease, and by nobody else (leases.ts).
 */

export type Delivery = {
  id: DeliveryId;
  /** Its file, which deliveries of the same mail to other destinations have as well. */
  spool: string;
  mail: MailId;
  purpose: Purpose;
  way: Way;
  destination: Destination;
  reversePath: ReversePath;
  mailParameters: readonly Parameter[];
  requireTls: TlsDemand;
  octets: number;
  enqueuedAt: Date;
  expiresAt: Date;
  nextAt: Date;
  attempts: number;
  lastAt: Date | null;
  /** Whether the sender was told that it takes long. */
  delayTold: boolean;
  /** Since when an administrator holds it; null: nobody does. */
  heldAt: Date | null;
  /** Who is at work on it, until when. `fence`: how often it was claimed. */
  lease: { holder: string; until: Date } | null;
  fence: number;
  recipients: readonly WaitingRecipient[];
  /** Who has it, of which the sender is still to be told. */
  taken: readonly WaitingRecipient[];
};

export type WaitingRecipient = {
  position: number;
  recipient: Recipient;
  /** Of the last attempt; null: there was none. */
  because: string | null;
  reply: Reply | null;
};

/** What becomes of mail without a router. */
export const SERVER: Destination = 'server';

export function placeOf(way: Way): Place {
  return {
    kind: way.kind,
    destination: way.kind === 'append' ? way.archive : (way.destination ?? SERVER),
  };
}

/** Of mail that was never tried. All that has no sender is one's. */
export function laneOf(reversePath: ReversePath): Lane {
  return reversePath === null ? '<>' : `${reversePath.localPart}@${reversePath.domain.toLowerCase()}`;
}

export type NewDelivery = {
  id: DeliveryId;
  spool: string;
  mail: Omit<MailToDeliver, 'octets'>;
  octets: number;
  now: Date;
};

/** For one transaction, which may be repeated where nobody knows whether it was written. */
export function insertDelivery({ id, spool, mail, octets, now }: NewDelivery): Statement[] {
  const { envelope, way, expiresAt, notBefore } = mail;
  const reversePath = envelope.reversePath === null ? null : JSON.stringify(envelope.reversePath);
  const overdue = overdueAt({ enqueuedAt: now, expiresAt, delayTold: false });
  return [
    sql`INSERT INTO delivery (id, spool, mail, purpose, kind, destination, way, reverse_path, parameters, require_tls, octets,
          enqueued_at, expires_at, next_at, overdue_at, attempts, last_at, delay_told, state, held_at, lease_holder, lease_until, fence, lane)
        VALUES (${id}, ${spool}, ${mail.id}, ${mail.purpose}, ${way.kind}, ${placeOf(way).destination}, ${JSON.stringify(way)},
          ${reversePath}, ${JSON.stringify(envelope.mailParameters)}, ${mail.requireTls}, ${octets},
          ${now.getTime()}, ${expiresAt.getTime()}, ${(notBefore ?? now).getTime()}, ${overdue.getTime()}, 0, NULL, 0,
          'waiting', NULL, NULL, 0, 0, ${laneOf(envelope.reversePath)})
        ON CONFLICT DO NOTHING`,
    ...envelope.recipients.map(
      (recipient, position) =>
        sql`INSERT INTO delivery_recipient (delivery, position, recipient) VALUES (${id}, ${position}, ${JSON.stringify(recipient)}) ON CONFLICT DO NOTHING`,
    ),
  ];
}

/** Of the transaction that writes this delivery. */
export function witnessOf(id: DeliveryId): Witness {
  return {
    stand: sql`INSERT INTO delivery (id, spool, mail, purpose, kind, destination, way, parameters, require_tls, octets, enqueued_at, expires_at,
        next_at, overdue_at, attempts, delay_told, state, lease_until, fence)
      VALUES (${id}, '', '', ${WITNESS}, '', '', '{}', '[]', 'no', 0, 0, 0, 0, 0, 0, 0, 'held', 0, 0) ON CONFLICT DO NOTHING`,
    leave: sql`DELETE FROM delivery WHERE id = ${id} AND purpose = ${WITNESS}`,
    find: sql`SELECT 1 AS found FROM delivery WHERE id = ${id}`,
  };
}

/** In the place of a purpose, in a row that no other transaction ever sees. */
const WITNESS = '';

/** Only as long as this claim stands. One row: it did. For the end of a transaction: what comes after it finds no claim any more. */
export function deleteClaimed({ id, holder, fence }: Claim): Statement {
  return sql`DELETE FROM delivery WHERE id = ${id} AND lease_holder = ${holder} AND fence = ${fence} RETURNING id`;
}

/** Whether the claim stands, as a condition within other statements. */
function stands({ id, holder, fence }: Claim): Statement {
  return sql`EXISTS (SELECT 1 FROM delivery WHERE id = ${id} AND lease_holder = ${holder} AND fence = ${fence})`;
}

/** The same statement, without effect where the claim does not stand any more. For `INSERT … VALUES (…) ON CONFLICT DO NOTHING`. */
export function onlyWhile(claim: Claim, { sql: text, parameters }: Statement): Statement {
  const values = /^(INSERT INTO [^;]*?)\bVALUES \(([^;]*)\)\s*ON CONFLICT DO NOTHING$/.exec(text);
  if (values === null) throw new Error('a statement that cannot be bound to a claim');
  const { sql: condition, parameters: more } = stands(claim);
  return {
    sql: `${values[1]}SELECT ${values[2]} WHERE ${condition} ON CONFLICT DO NOTHING`,
    parameters: [...parameters, ...more],
  };
}

export function settleRecipient(claim: Claim, position: number): Statement {
  return sql`DELETE FROM delivery_recipient WHERE delivery = ${claim.id} AND position = ${position} AND ${stands(claim)}`;
}

/** She has the mail, and stays until that could be reported. */
export function noteTaken(claim: Claim, position: number, reply: Reply | null): Statement {
  const said = reply === null ? null : JSON.stringify(reply);
  return sql`UPDATE delivery_recipient SET taken = 1, reply = ${said}
    WHERE delivery = ${claim.id} AND position = ${position} AND ${stands(claim)}`;
}

export function noteRecipient(
  claim: Claim,
  position: number,
  { because, reply }: { because: string; reply: Reply | null },
): Statement {
  const said = reply === null ? null : JSON.stringify(reply);
  return sql`UPDATE delivery_recipient SET because = ${because}, reply = ${said}
    WHERE delivery = ${claim.id} AND position = ${position} AND ${stands(claim)}`;
}

/** The attempt has ended, and the claim with it. One row: it stood. */
export function noteAttempt(
  { id, holder, fence }: Claim,
  {
    at,
    nextAt,
    overdueAt: overdue,
    delayTold,
  }: { at: Date; nextAt: Date; overdueAt: Date; delayTold: boolean },
): Statement {
  return sql`UPDATE delivery SET attempts = attempts + 1, last_at = ${at.getTime()}, next_at = ${nextAt.getTime()},
      overdue_at = ${overdue.getTime()}, delay_told = ${delayTold ? 1 : 0}, lease_holder = NULL, lease_until = 0, lane = ${RETRIES}
    WHERE id = ${id} AND lease_holder = ${holder} AND fence = ${fence} RETURNING id`;
}

/** An attempt that came to nothing for a reason of the gateway's own. */
export function putOff({ id, holder, fence }: Claim, at: Date, nextAt: Date): Statement {
  return sql`UPDATE delivery SET attempts = attempts + 1, last_at = ${at.getTime()}, next_at = ${nextAt.getTime()},
      lease_holder = NULL, lease_until = 0, lane = ${RETRIES}
    WHERE id = ${id} AND lease_holder = ${holder} AND fence = ${fence} RETURNING id`;
}

/** One row where some delivery still has the file. */
export function usesOf(spool: string): Statement {
  return sql`SELECT 1 AS used FROM delivery WHERE spool = ${spool} LIMIT 1`;
}

/**
 * Where the clock was set back, whatever was put in or tried in what is the future now: it waits as long as it was to wait, and no longer
 * for the time that comes a second time.
 */
export function fromTheFuture({ clock }: Pick<SqlStore, 'clock'>, now: Date): Statement {
  const at = clock ?? sql`${now.getTime()}`;
  return sql`UPDATE delivery SET
      next_at = CASE WHEN next_at > coalesce(last_at, enqueued_at) THEN ${at} + next_at - coalesce(last_at, enqueued_at) ELSE ${at} END,
      expires_at = CASE WHEN enqueued_at > ${at} THEN expires_at - (enqueued_at - ${at}) ELSE expires_at END,
      overdue_at = CASE WHEN enqueued_at > ${at} THEN overdue_at - (enqueued_at - ${at}) ELSE overdue_at END,
      enqueued_at = CASE WHEN enqueued_at > ${at} THEN ${at} ELSE enqueued_at END,
      last_at = CASE WHEN last_at > ${at} THEN ${at} ELSE last_at END
    WHERE coalesce(last_at, enqueued_at) > ${at}`;
}

/** null: it is not in the queue any more. */
export async function readDelivery(store: SqlStore, id: DeliveryId): Promise<Delivery | null> {
  const [delivery] = await readDeliveries(store, [sql`id = ${id}`], 1);
  return delivery ?? null;
}

/** Oldest first. */
export async function readDeliveries(
  store: SqlStore,
  conditions: readonly Statement[],
  limit: number,
): Promise<readonly Delivery[]> {
  const chosen = sql`SELECT id FROM delivery WHERE ${allOf(conditions)} ORDER BY enqueued_at, id LIMIT ${limit}`;
  const [rows = [], recipients = []] = await store.transaction([
    sql`SELECT * FROM delivery WHERE id IN (${chosen}) ORDER BY enqueued_at, id`,
    sql`SELECT * FROM delivery_recipient WHERE delivery IN (${chosen}) ORDER BY delivery, position`,
  ]);
  const byDelivery = Map.groupBy(recipients, ({ delivery }) => delivery);
  return rows.map((row) => deliveryOf(row, byDelivery.get(row.id ?? null) ?? []));
}

function deliveryOf(row: Row, recipients: readonly Row[]): Delivery {
  const at = (value: Row[string] | undefined): Date => new Date(Number(value));
  return {
    id: String(row.id),
    spool: String(row.spool),
    mail: String(row.mail) as MailId,
    purpose: String(row.purpose) as Purpose,
    way: JSON.parse(String(row.way)) as Way,
    destination: String(row.destination),
    reversePath: row.reverse_path === null ? null : (JSON.parse(String(row.reverse_path)) as ReversePath),
    mailParameters: JSON.parse(String(row.parameters)) as Parameter[],
    requireTls: String(row.require_tls) as TlsDemand,
    octets: Number(row.octets),
    enqueuedAt: at(row.enqueued_at),
    expiresAt: at(row.expires_at),
    nextAt: at(row.next_at),
    attempts: Number(row.attempts),
    lastAt: row.last_at === null ? null : at(row.last_at),
    delayTold: row.delay_told === 1,
    heldAt: row.state === 'held' ? at(row.held_at) : null,
    lease:
      typeof row.lease_holder === 'string' ? { holder: row.lease_holder, until: at(row.lease_until) } : null,
    fence: Number(row.fence),
    recipients: recipients.filter(({ taken }) => taken !== 1).map(recipientOf),
    taken: recipients.filter(({ taken }) => taken === 1).map(recipientOf),
  };
}

function recipientOf({ position, recipient, because, reply }: Row): WaitingRecipient {
  return {
    position: Number(position),
    recipient: JSON.parse(String(recipient)) as Recipient,
    because: typeof because === 'string' ? because : null,
    reply: typeof reply === 'string' ? (JSON.parse(reply) as Reply) : null,
  };
}

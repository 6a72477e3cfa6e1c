import type { MailId } from '../ids.ts';
import type { TlsDemand } from '../policy/rules.ts';
import type { Parameter, Recipient, ReversePath } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';
import { allOf, type Row, type SqlStore, type Statement, sql } from '../store/sql-store.ts';
import type { DeliveryId, MailToDeliver, Purpose, Way } from './ports.ts';

/** The rows of the queue. Whoever is to get the mail has a row; whoever has it, or will never have it, has none any more. */

export type Delivery = {
  id: DeliveryId;
  mail: MailId;
  purpose: Purpose;
  way: Way;
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
  recipients: readonly WaitingRecipient[];
};

export type WaitingRecipient = {
  position: number;
  recipient: Recipient;
  /** Of the last attempt; null: there was none. */
  because: string | null;
  reply: Reply | null;
};

/** For one transaction, which may be repeated where nobody knows whether it was written. */
export function insertDelivery(id: DeliveryId, mail: MailToDeliver, now: Date): Statement[] {
  const { envelope, way, expiresAt, notBefore } = mail;
  const reversePath = envelope.reversePath === null ? null : JSON.stringify(envelope.reversePath);
  return [
    sql`INSERT INTO delivery (spool, mail, purpose, kind, way, reverse_path, parameters, require_tls, octets,
          enqueued_at, expires_at, next_at, attempts, last_at, delay_told)
        VALUES (${id}, ${mail.id}, ${mail.purpose}, ${way.kind}, ${JSON.stringify(way)}, ${reversePath},
          ${JSON.stringify(envelope.mailParameters)}, ${mail.requireTls}, ${mail.octets.length},
          ${now.getTime()}, ${expiresAt.getTime()}, ${(notBefore ?? now).getTime()}, 0, NULL, 0)
        ON CONFLICT DO NOTHING`,
    ...envelope.recipients.map(
      (recipient, position) =>
        sql`INSERT INTO delivery_recipient (spool, position, recipient) VALUES (${id}, ${position}, ${JSON.stringify(recipient)}) ON CONFLICT DO NOTHING`,
    ),
  ];
}

export function deleteDelivery(id: DeliveryId): Statement {
  return sql`DELETE FROM delivery WHERE spool = ${id}`;
}

export function settleRecipient(id: DeliveryId, position: number): Statement {
  return sql`DELETE FROM delivery_recipient WHERE spool = ${id} AND position = ${position}`;
}

export function noteRecipient(
  id: DeliveryId,
  position: number,
  { because, reply }: { because: string; reply: Reply | null },
): Statement {
  const said = reply === null ? null : JSON.stringify(reply);
  return sql`UPDATE delivery_recipient SET because = ${because}, reply = ${said} WHERE spool = ${id} AND position = ${position}`;
}

export function noteAttempt(
  id: DeliveryId,
  { at, nextAt, delayTold }: { at: Date; nextAt: Date; delayTold: boolean },
): Statement {
  return sql`UPDATE delivery SET attempts = attempts + 1, last_at = ${at.getTime()}, next_at = ${nextAt.getTime()}, delay_told = ${delayTold ? 1 : 0} WHERE spool = ${id}`;
}

/** An attempt that came to nothing for a reason of the gateway's own. */
export function putOff(id: DeliveryId, at: Date, nextAt: Date): Statement {
  return sql`UPDATE delivery SET attempts = attempts + 1, last_at = ${at.getTime()}, next_at = ${nextAt.getTime()} WHERE spool = ${id}`;
}

/**
 * Where the clock was set back, whatever was put in or tried in what is the future now: it waits as long as it was to wait, and no longer
 * for the time that comes a second time.
 */
export function fromTheFuture(now: Date): Statement {
  const at = now.getTime();
  return sql`UPDATE delivery SET
      next_at = ${at} + max(0, next_at - coalesce(last_at, enqueued_at)),
      expires_at = expires_at - max(0, enqueued_at - ${at}),
      enqueued_at = min(enqueued_at, ${at}),
      last_at = CASE WHEN last_at > ${at} THEN ${at} ELSE last_at END
    WHERE coalesce(last_at, enqueued_at) > ${at}`;
}

/** Deliveries whose time has come, longest waiting first. */
export async function dueDeliveries(
  store: SqlStore,
  kind: Way['kind'],
  now: Date,
  limit: number,
): Promise<readonly DeliveryId[]> {
  const rows = await store.query(
    sql`SELECT spool FROM delivery WHERE kind = ${kind} AND next_at <= ${now.getTime()} ORDER BY next_at, spool LIMIT ${limit}`,
  );
  return rows.map(({ spool }) => String(spool));
}

/** When the next one's time comes, of those whose time has not come; null: there is none. */
export async function nextDue(store: SqlStore, kind: Way['kind'], now: Date): Promise<Date | null> {
  const [row] = await store.query(
    sql`SELECT min(next_at) AS at FROM delivery WHERE kind = ${kind} AND next_at > ${now.getTime()}`,
  );
  return typeof row?.at === 'number' ? new Date(row.at) : null;
}

/** null: it is not in the queue any more. */
export async function readDelivery(store: SqlStore, id: DeliveryId): Promise<Delivery | null> {
  const [delivery] = await readDeliveries(store, [sql`spool = ${id}`], 1);
  return delivery ?? null;
}

/** Oldest first. */
export async function readDeliveries(
  store: SqlStore,
  conditions: readonly Statement[],
  limit: number,
): Promise<readonly Delivery[]> {
  const chosen = sql`SELECT spool FROM delivery WHERE ${allOf(conditions)} ORDER BY enqueued_at, spool LIMIT ${limit}`;
  const [rows = [], recipients = []] = await store.transaction([
    sql`SELECT * FROM delivery WHERE spool IN (${chosen}) ORDER BY enqueued_at, spool`,
    sql`SELECT * FROM delivery_recipient WHERE spool IN (${chosen}) ORDER BY spool, position`,
  ]);
  const byDelivery = Map.groupBy(recipients, ({ spool }) => spool);
  return rows.map((row) => deliveryOf(row, byDelivery.get(row.spool ?? null) ?? []));
}

function deliveryOf(row: Row, recipients: readonly Row[]): Delivery {
  const at = (value: Row[string] | undefined): Date => new Date(Number(value));
  return {
    id: String(row.spool),
    mail: String(row.mail) as MailId,
    purpose: String(row.purpose) as Purpose,
    way: JSON.parse(String(row.way)) as Way,
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
    recipients: recipients.map(({ position, recipient, because, reply }) => ({
      position: Number(position),
      recipient: JSON.parse(String(recipient)) as Recipient,
      because: typeof because === 'string' ? because : null,
      reply: typeof reply === 'string' ? (JSON.parse(reply) as Reply) : null,
    })),
  };
}

import { oneOf, type SqlStore, type Statement, sql } from '../store/sql-store.ts';
import type { DeliveryId, Lane, Line, Place } from './ports.ts';

/**
 * Who is at work on which delivery, on one node or on several that share the rows.
 *
 * Where several nodes share them, the clock of the database says which claims have run out, and no node's own: one whose clock is wrong takes
 * nothing from the others, and loses nothing to them.
 *
 * Holds: a delivery is claimed by one at a time. `fence` counts its claims: what becomes of it is written only by whoever made the last one
 * and has not lost it, so that a late outcome of somebody who was taken for dead changes nothing.
 */

/** A claim that was made: `holder` writes what becomes of it as long as nobody has made a later one. */
export type Claim = { id: DeliveryId; holder: string; fence: number };

/** So long a claim stands without being renewed: after that its holder is taken for dead. */
export const LEASE_MS = 60_000;
export const RENEW_MS = 15_000;

/** What is claimed of a place: what is due in a lane, longest waiting first, or only what may not wait with the rest (schedule.ts, `overdueAt`). */
export type Which = { lane: Lane } | 'overdue';

/**
 * What another node is just claiming is passed over.
 *
 * @param patientUntil before this no claim that has run out is taken for one of somebody dead
 * @returns the claims that were made, `room` at most
 */
export async function claimDue(
  store: SqlStore,
  place: Place,
  {
    which,
    holder,
    room,
    now,
    patientUntil,
  }: { which: Which; holder: string; room: number; now: Date; patientUntil?: Date | undefined },
): Promise<readonly Claim[]> {
  const at = now.getTime();
  const [isOne, time] =
    which === 'overdue' ? [isAt(place), sql`overdue_at`] : [isIn({ place, ...which }), sql`next_at`];
  const due = sql`SELECT id FROM delivery WHERE ${isOne} AND ${time} <= ${at} AND ${isFree(store, now, patientUntil)}
    ORDER BY ${time}, id LIMIT ${room}`;
  const { taking } = store;
  // PostgreSQL makes an array once; what stands in an IN it may ask anew for each row, and take more than there is room for.
  const isTaken =
    taking === undefined ? sql`id IN (${due})` : sql`id = ANY (ARRAY(${due} FOR UPDATE SKIP LOCKED))`;
  const rows = await (taking ?? store).query(claim(isTaken, holder, untilOf(store, now)));
  return rows.map((row) => ({ id: String(row.id), holder, fence: Number(row.fence) }));
}

/** This one, if its time has come and nobody is at work on it; else null. */
export async function claimOne(
  store: SqlStore,
  id: DeliveryId,
  { holder, now }: { holder: string; now: Date },
): Promise<Claim | null> {
  const at = now.getTime();
  const isDue = sql`id = ${id} AND state = 'waiting' AND next_at <= ${at} AND lease_until <= ${timeOf(store, now)}`;
  const [row] = await store.query(claim(isDue, holder, untilOf(store, now)));
  return row === undefined ? null : { id, holder, fence: Number(row.fence) };
}

function claim(which: Statement, holder: string, until: Statement): Statement {
  return sql`UPDATE delivery SET lease_holder = ${holder}, lease_until = ${until}, fence = fence + 1
    WHERE ${which} RETURNING id, fence`;
}

/** Those that are still the holder's stand for another while, and give a row each. */
export function renew(store: LeaseStore, claims: readonly Claim[], now: Date): Statement[] {
  const until = untilOf(store, now);
  return claims.map(
    ({ id, holder, fence }) =>
      sql`UPDATE delivery SET lease_until = ${until} WHERE id = ${id} AND lease_holder = ${holder} AND fence = ${fence} RETURNING id`,
  );
}

/** Of somebody who is known to be gone; null: of everybody. */
export function releaseClaims(holder: string | null): Statement {
  const whose = holder === null ? sql`lease_holder IS NOT NULL` : sql`lease_holder = ${holder}`;
  return sql`UPDATE delivery SET lease_holder = NULL, lease_until = 0 WHERE ${whose}`;
}

/** All that this holder has but these. */
export function releaseOthers(holder: string, ids: readonly DeliveryId[]): Statement {
  return sql`UPDATE delivery SET lease_holder = NULL, lease_until = 0 WHERE lease_holder = ${holder} AND NOT ${oneOf('id', ids)}`;
}

/** This one, of which nothing came: whoever is there next takes it up where it was. */
export function releaseClaim({ id, holder, fence }: Claim): Statement {
  return sql`UPDATE delivery SET lease_holder = NULL, lease_until = 0 WHERE id = ${id} AND lease_holder = ${holder} AND fence = ${fence}`;
}

/** Where the clock was set back: none stands for longer than one that is made now. */
export function claimsFromTheFuture(store: LeaseStore, now: Date): Statement {
  const most = untilOf(store, now);
  return sql`UPDATE delivery SET lease_until = ${most} WHERE lease_holder IS NOT NULL AND lease_until > ${most}`;
}

/** When something is due in this line, claimed by somebody or not; null: nothing waits there. @param patientUntil as of `claimDue` */
export async function nextDue(
  store: SqlStore,
  line: Line,
  now: Date,
  patientUntil?: Date,
): Promise<Date | null> {
  const at = now.getTime();
  // What is under way is due again when its claim has run out; of what is due and free the first is enough.
  const [row] = await store.query(
    sql`SELECT (SELECT min(next_at) FROM delivery WHERE ${isIn(line)} AND next_at > ${at}) AS later,
      (SELECT min(lease_until) FROM delivery WHERE lease_holder IS NOT NULL AND ${isInWithoutIndex(line)}) AS claimed,
      (SELECT next_at FROM delivery WHERE ${isIn(line)} AND next_at <= ${at} AND ${isFree(store, now, patientUntil)} LIMIT 1) AS due`,
  );
  const claimed =
    typeof row?.claimed === 'number' ? Math.max(row.claimed, patientUntil?.getTime() ?? 0) : null;
  const times = [row?.later, claimed, row?.due].filter((time) => typeof time === 'number');
  return times.length === 0 ? null : new Date(Math.min(...times));
}

type LeaseStore = Pick<SqlStore, 'clock'>;

/** Of nobody, or of somebody who is taken for dead. */
function isFree(store: LeaseStore, now: Date, patientUntil: Date | undefined): Statement {
  const isPatient = patientUntil !== undefined && now < patientUntil;
  return sql`lease_until <= ${isPatient ? sql`${0}` : timeOf(store, now)}`;
}

function timeOf({ clock }: LeaseStore, now: Date): Statement {
  return clock ?? sql`${now.getTime()}`;
}

function untilOf({ clock }: LeaseStore, now: Date): Statement {
  if (clock === undefined) return sql`${now.getTime() + LEASE_MS}`;
  return { sql: `(${clock.sql} + ${LEASE_MS})`, parameters: clock.parameters };
}

function isAt({ kind, destination }: Place): Statement {
  return sql`kind = ${kind} AND state = 'waiting' AND destination = ${destination}`;
}

function isIn({ place, lane }: Line): Statement {
  return sql`${isAt(place)} AND lane = ${lane}`;
}

/** The same where few have been found by other means: the index of places would have all that waits there looked at. */
function isInWithoutIndex({ place: { kind, destination }, lane }: Line): Statement {
  return sql`coalesce(kind, '') = ${kind} AND coalesce(state, '') = 'waiting' AND coalesce(destination, '') = ${destination} AND coalesce(lane, '') = ${lane}`;
}

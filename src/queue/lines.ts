import { limits } from '../limits.ts';
import { type SqlStore, type Statement, sql } from '../store/sql-store.ts';
import type { Line, Place, Way } from './ports.ts';

/** A line in which something waits, and when the first of it is due. */
export type WaitingLine = Line & { at: Date };

/**
 * Lines in which something waits, in the order of their index: a few looks into it for each, however much waits there.
 *
 * @param after null: from the first
 * @returns so many as are looked for at once; none: there are no more
 */
export function linesAfter(
  store: SqlStore,
  kind: Way['kind'],
  after: Line | null,
): Promise<readonly WaitingLine[]> {
  const of = sql`kind = ${kind} AND state = 'waiting'`;
  const beyond =
    after === null ? of : sql`${of} AND (destination, lane) > (${after.place.destination}, ${after.lane})`;
  const next = sql`(SELECT min(d.destination) FROM delivery d WHERE ${of} AND d.destination > line.destination)`;
  return linesFrom(store, kind, beyond, next);
}

/** The same of one place alone. */
export function linesAt(store: SqlStore, { kind, destination }: Place): Promise<readonly WaitingLine[]> {
  const here = sql`kind = ${kind} AND state = 'waiting' AND destination = ${destination}`;
  return linesFrom(store, kind, here, sql`NULL`);
}

/** Without a lane: the one before the first of that destination. */
async function linesFrom(
  store: SqlStore,
  kind: Way['kind'],
  first: Statement,
  next: Statement,
): Promise<readonly WaitingLine[]> {
  const here = sql`d.kind = ${kind} AND d.state = 'waiting' AND d.destination = line.destination`;
  const lane = sql`CASE WHEN line.lane IS NULL THEN (SELECT min(d.lane) FROM delivery d WHERE ${here})
    ELSE (SELECT min(d.lane) FROM delivery d WHERE ${here} AND d.lane > line.lane) END`;
  const rows = await store.query(sql`WITH RECURSIVE line (destination, lane) AS (
      SELECT * FROM (SELECT destination, lane FROM delivery WHERE ${first} ORDER BY destination, lane LIMIT 1) AS begin
      UNION ALL
      SELECT CASE WHEN ${lane} IS NULL THEN ${next} ELSE line.destination END, ${lane}
        FROM line WHERE line.destination IS NOT NULL)
    SELECT destination, lane, (SELECT min(d.next_at) FROM delivery d WHERE ${here} AND d.lane = line.lane) AS due
      FROM (SELECT * FROM line LIMIT ${2 * limits.queue.linesAtOnce}) AS line WHERE lane IS NOT NULL`);
  return rows.map(({ destination, lane: name, due }): WaitingLine => {
    return {
      place: { kind, destination: String(destination) },
      lane: String(name),
      at: new Date(Number(due)),
    };
  });
}

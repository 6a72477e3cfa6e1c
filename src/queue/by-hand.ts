import type { SqlStore, Statement } from '../store/sql-store.ts';
import { allOf, sql } from '../store/sql-store.ts';
import { type Delivery, readDeliveries } from './delivery-rows.ts';
import type { Destination } from './ports.ts';
import { removeUnused } from './unused-files.ts';

/**
 * What an administrator does with the queue, beside a running gateway or without one. Where several nodes share it their time counts, and not that
 * of the machine on which it is done.
 */

/** Which deliveries; each condition narrows them. */
export type Chosen = {
  /** Ids of their own or of their mail; absent: all. */
  ids?: readonly string[];
  destination?: Destination;
  /** Address of the sender, in its letters; empty: the null reverse path. */
  sender?: string;
  state?: 'waiting' | 'held' | 'under-way' | 'delayed';
};

/** Oldest first. */
export async function listQueue(
  store: SqlStore,
  chosen: Chosen,
  limit: number,
  now = new Date(),
): Promise<readonly Delivery[]> {
  return readDeliveries(store, [isChosen(chosen, await timeOfQueue(store, now))], limit);
}

export async function countQueue(store: SqlStore, chosen: Chosen, now = new Date()): Promise<number> {
  const isOne = isChosen(chosen, await timeOfQueue(store, now));
  const [row] = await store.query(sql`SELECT count(*) AS deliveries FROM delivery WHERE ${isOne}`);
  return Number(row?.deliveries ?? 0);
}

/** Those that something waits for. */
export async function destinations(store: SqlStore, limit: number): Promise<readonly Destination[]> {
  const rows = await store.query(
    sql`SELECT DISTINCT destination FROM delivery WHERE kind = 'smtp' ORDER BY destination LIMIT ${limit}`,
  );
  return rows.map(({ destination }) => String(destination));
}

/** Those that neither a delivery nor a mail of the queue has. */
export async function unknownIds(store: SqlStore, ids: readonly string[]): Promise<readonly string[]> {
  const rows = await store.query(sql`SELECT id, mail FROM delivery WHERE ${oneOf(ids)}`);
  const known = new Set(rows.flatMap(({ id, mail }) => [id, mail]));
  return ids.filter((id) => !known.has(id));
}

/**
 * Their next attempt is due now, and their destinations are called though they were found away. What waits for its time to begin, as a copy
 * for an archive may, is left alone unless it is named; so is what is held.
 *
 * @returns how many
 */
export async function retryNow(
  store: SqlStore,
  chosen: Chosen,
  here: Date,
  progress: Progress = () => undefined,
): Promise<number> {
  const now = await timeOfQueue(store, here);
  const at = now.getTime();
  const which = chosen.ids === undefined ? sql`(attempts > 0 OR next_at <= ${at})` : sql`1 = 1`;
  const all = sql`${which} AND state = 'waiting' AND next_at > ${at} AND ${isChosen(chosen, now)}`;
  const places = await store.query(
    sql`SELECT DISTINCT destination FROM delivery WHERE ${which} AND state = 'waiting' AND ${isChosen(chosen, now)}`,
  );
  const already = await store.query(
    sql`SELECT count(*) AS due FROM delivery WHERE ${which} AND state = 'waiting' AND next_at <= ${at} AND ${isChosen(chosen, now)}`,
  );
  const due = await inBatches(
    store,
    progress,
    (some) => sql`UPDATE delivery SET next_at = ${at} WHERE id IN (${some(all)}) RETURNING id`,
  );
  await flushDestinations(
    store,
    places.map(({ destination }) => String(destination)),
    now,
  );
  return due + Number(already[0]?.due ?? 0);
}

/** The destination is called now, though it was found away, and with everything that waits for it. @returns how many deliveries */
export async function flush(
  store: SqlStore,
  destination: Destination,
  now: Date,
  progress: Progress = () => undefined,
): Promise<number> {
  return retryNow(store, { destination }, now, progress);
}

async function flushDestinations(
  store: SqlStore,
  destinations: readonly Destination[],
  now: Date,
): Promise<void> {
  const at = now.getTime();
  await store.transaction([
    sql`DELETE FROM delivery_flush WHERE flushed_at < ${at - FLUSH_KEPT_MS}`,
    ...destinations.map(
      (destination) =>
        sql`INSERT INTO delivery_flush (destination, flushed_at) VALUES (${destination}, ${at})
          ON CONFLICT (destination) DO UPDATE SET flushed_at = excluded.flushed_at`,
    ),
  ]);
}

/** Long enough for every gateway to see it. */
const FLUSH_KEPT_MS = 3_600_000;

/** Destinations that somebody wants called, and when that was said. */
export async function flushedSince(
  store: SqlStore,
  since: Date,
): Promise<readonly { destination: Destination; at: Date }[]> {
  const rows = await store.query(
    sql`SELECT destination, flushed_at FROM delivery_flush WHERE flushed_at > ${since.getTime()}`,
  );
  return rows.map((row) => ({ destination: String(row.destination), at: new Date(Number(row.flushed_at)) }));
}

/** Not tried, and not given up, until it is released. What is being delivered in this moment still ends. @returns how many */
export async function hold(
  store: SqlStore,
  chosen: Chosen,
  here: Date,
  progress: Progress = () => undefined,
): Promise<number> {
  const now = await timeOfQueue(store, here);
  const all = sql`state = 'waiting' AND ${isChosen(chosen, now)}`;
  return inBatches(
    store,
    progress,
    (some) =>
      sql`UPDATE delivery SET state = 'held', held_at = ${now.getTime()} WHERE id IN (${some(all)}) RETURNING id`,
  );
}

/** Due at once, and with as much time left as it had. @returns how many */
export async function release(
  store: SqlStore,
  chosen: Chosen,
  here: Date,
  progress: Progress = () => undefined,
): Promise<number> {
  const now = await timeOfQueue(store, here);
  const at = now.getTime();
  const all = sql`state = 'held' AND ${isChosen(chosen, now)}`;
  return inBatches(
    store,
    progress,
    (some) => sql`UPDATE delivery SET state = 'waiting', held_at = NULL, next_at = ${at},
      expires_at = CASE WHEN held_at < ${at} THEN expires_at + (${at} - held_at) ELSE expires_at END,
      overdue_at = CASE WHEN held_at < ${at} THEN overdue_at + (${at} - held_at) ELSE overdue_at END
      WHERE id IN (${some(all)}) RETURNING id`,
  );
}

/**
 * Nobody is told, and nobody gets it.
 *
 * @param remove what is sealed under that name
 * @returns how many
 */
export async function removeDeliveries(
  store: SqlStore,
  remove: (name: string) => Promise<void>,
  chosen: Chosen,
  progress: Progress = () => undefined,
): Promise<number> {
  const all = isChosen(chosen, await timeOfQueue(store, new Date()));
  return inBatches(
    store,
    progress,
    (some) => sql`DELETE FROM delivery WHERE id IN (${some(all)}) RETURNING id, spool`,
    (names) => removeUnused(store, names, remove),
  );
}

/** Told how many are done. */
export type Progress = (done: number) => void;

const BATCH = 500;

/** A gateway that runs beside it has its turn in between. @param change what it changes is not chosen any more */
async function inBatches(
  store: SqlStore,
  progress: Progress,
  change: (some: (all: Statement) => Statement) => Statement,
  files: (names: readonly string[]) => Promise<void> = async () => undefined,
): Promise<number> {
  for (let done = 0; ; ) {
    const rows = await store.query(
      change((all) => sql`SELECT id FROM delivery WHERE ${all} ORDER BY enqueued_at, id LIMIT ${BATCH}`),
    );
    await files(rows.map(({ spool }) => String(spool)));
    done += rows.length;
    if (rows.length < BATCH) return done;
    progress(done);
  }
}

/** Where several nodes share the queue, the database's; `here`: this machine's. */
export async function timeOfQueue(store: SqlStore, here = new Date()): Promise<Date> {
  if (store.clock === undefined) return here;
  const [row] = await store.query(sql`SELECT ${store.clock} AS now`);
  return new Date(Number(row?.now));
}

function isChosen({ ids, destination, sender, state }: Chosen, now: Date): Statement {
  return allOf([
    ...(ids === undefined ? [] : [oneOf(ids)]),
    ...(destination === undefined ? [] : [sql`destination = ${destination}`]),
    ...(sender === undefined ? [] : [isFrom(sender)]),
    ...(state === undefined ? [] : [isIn(state, now.getTime())]),
  ]);
}

function oneOf(ids: readonly string[]): Statement {
  const each = { sql: ids.map(() => '?').join(', '), parameters: ids };
  return ids.length === 0 ? sql`1 = 0` : sql`id IN (${each}) OR mail IN (${each})`;
}

function isFrom(sender: string): Statement {
  if (sender === '') return sql`reverse_path IS NULL`;
  const at = sender.lastIndexOf('@');
  return sql`reverse_path = ${JSON.stringify({ localPart: sender.slice(0, at), domain: sender.slice(at + 1) })}`;
}

function isIn(state: NonNullable<Chosen['state']>, now: number): Statement {
  switch (state) {
    case 'held':
      return sql`state = 'held'`;
    case 'under-way':
      return sql`lease_until > ${now}`;
    case 'delayed':
      return sql`state = 'waiting' AND attempts > 0`;
    case 'waiting':
      return sql`state = 'waiting' AND lease_until <= ${now}`;
  }
}

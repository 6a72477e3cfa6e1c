import type { Log } from '../../log/log.ts';
import { type SqlStore, sql } from '../../store/sql-store.ts';
import { text } from '../certificate-rows.ts';

/** Sources that a gateway does not ask for a while, written down so that a command can tell. */
export type Away = { source: string; since: Date; reason: string };

/** A gateway that starts knows of none. */
export async function clearAway(store: SqlStore): Promise<void> {
  await store.query(sql`DELETE FROM remote_away`);
}

/** Nothing waits for it. @param told reason null: it is back */
export function noteAway(
  store: SqlStore,
  { source, reason, at, log }: { source: string; reason: string | null; at: Date; log: Log },
): void {
  const statement =
    reason === null
      ? sql`DELETE FROM remote_away WHERE source = ${source}`
      : sql`INSERT INTO remote_away (source, since, reason) VALUES (${source}, ${at.getTime()}, ${reason.slice(0, 2_000)})
          ON CONFLICT (source) DO UPDATE SET since = excluded.since, reason = excluded.reason`;
  store.query(statement).catch((error: unknown) => {
    log.write({ event: 'directory.lookup-failed', level: 'warn', reason: String(error) });
  });
}

export async function sourcesAway(store: SqlStore): Promise<readonly Away[]> {
  const rows = await store.query(sql`SELECT source, since, reason FROM remote_away ORDER BY source`);
  return rows.map(({ source, since, reason }) => ({
    ...{ source: text(source), since: new Date(Number(since)), reason: text(reason) },
  }));
}

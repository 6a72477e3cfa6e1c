import { SealgateError } from '../errors.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';

/** `proof` tells nothing of the secret. */
export type Agreed = { proof: string; hostname: string };

/**
 * What all nodes must have alike, since it decides what clients see: the shared secret, and the name in what is shown to them. The first node
 * writes down what is derived from it.
 *
 * @throws SealgateError `cluster.differs` (permanent) where another node has something else; `store.unavailable`
 */
export async function agree(store: SqlStore, parts: Agreed): Promise<void> {
  const [, rows = []] = await store.transaction([
    sql`INSERT INTO cluster_identity (one, proof) VALUES (1, ${textOf(parts)}) ON CONFLICT (one) DO NOTHING`,
    sql`SELECT proof FROM cluster_identity`,
  ]);
  refuse(String(rows[0]?.proof), parts);
}

/**
 * The same of a database in which tables may be missing or older: one who does not belong there must change nothing.
 *
 * @throws SealgateError `cluster.differs` (permanent); `store.unavailable`
 */
export async function refuseStranger(store: SqlStore, parts: Agreed): Promise<void> {
  const [found] = await store.query(
    sql`SELECT CASE WHEN to_regclass('cluster_identity') IS NULL THEN 0 ELSE 1 END AS there`,
  );
  if (found?.there !== 1) return;
  const [row] = await store.query(sql`SELECT proof FROM cluster_identity`);
  if (row !== undefined) refuse(String(row.proof), parts);
}

function refuse(agreed: string, parts: Agreed): void {
  if (agreed === textOf(parts)) return;
  const [proof, hostname = ''] = agreed.split(' ');
  const what =
    proof === parts.proof
      ? `the hostname is "${hostname}" on the other nodes: give this one the same, since clients see it in their mail`
      : 'the secret of the section cluster is another one than that of the other nodes: give this one the same file';
  throw new SealgateError({
    code: 'cluster.differs',
    duration: 'permanent',
    publicText: `This configuration is not that of the cluster: ${what}. Where it is to be changed for all, stop them and empty the table cluster_identity; clients then load their mail anew.`,
  });
}

function textOf({ proof, hostname }: Agreed): string {
  return `${proof} ${hostname}`;
}

import { SealgateError } from '../errors.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';

/**
 * What all nodes must have alike, since it decides what clients see: the shared secret, and the name in what is shown to them. The first node
 * writes down what is derived from it.
 *
 * @param proof tells nothing of the secret
 * @throws SealgateError `cluster.differs` (permanent) where another node has something else; `store.unavailable`
 */
export async function agree(store: SqlStore, parts: { proof: string; hostname: string }): Promise<void> {
  const mine = `${parts.proof} ${parts.hostname}`;
  const [, rows = []] = await store.transaction([
    sql`INSERT INTO cluster_identity (one, proof) VALUES (1, ${mine}) ON CONFLICT (one) DO NOTHING`,
    sql`SELECT proof FROM cluster_identity`,
  ]);
  const agreed = String(rows[0]?.proof);
  if (agreed === mine) return;
  const [proof, hostname = ''] = agreed.split(' ');
  const what =
    proof === parts.proof
      ? `the hostname is "${hostname}" on the other nodes: give this one the same, since clients see it in their mail`
      : 'the secret of the section cluster is another one than that of the other nodes: give this one the same file';
  throw new SealgateError({
    code: 'cluster.differs',
    duration: 'permanent',
    publicText: `This node cannot join the cluster: ${what}. Where it is to be changed for all, stop them and empty the table cluster_identity; clients then load their mail anew.`,
  });
}

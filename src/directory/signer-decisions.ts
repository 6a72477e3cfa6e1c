import type { Log } from '../log/log.ts';
import type { Clock, SignerDecision, SignerDecisions } from '../pipeline/ports.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';
import { directoryUnavailable } from './asking.ts';
import { storedDecision, text } from './certificate-rows.ts';

/** Asked anew so often at most; a mailbox that is opened has hundreds of signed mails. */
const FRESH_MS = 2_000;

/**
 * What people have decided about signers' certificates. There are few decisions, so all of them are kept in memory: while the
 * database is away, those that were known last count, and mail is read as before.
 */
export function signerDecisions(store: SqlStore, clock: Clock, log: Log): SignerDecisions {
  /** null: never reached since the start, so nobody knows whom somebody distrusts. */
  let known: ReadonlyMap<string, SignerDecision> | null = null;
  let asked: { at: number; answer: Promise<void> } | null = null;

  async function ask(): Promise<void> {
    try {
      const rows =
        await store.query(sql`SELECT d.fingerprint AS fingerprint, d.decision AS decision, j.reason AS reason,
          j.by_whom AS by_whom, j.at AS decided_at
        FROM certificate_decision d JOIN certificate_journal j ON j.id = d.journal`);
      known = new Map(
        rows.flatMap((row) => {
          const stored = storedDecision(row);
          return stored === null
            ? []
            : [[text(row.fingerprint), { ...stored, at: new Date(stored.at) }] as const];
        }),
      );
    } catch (error) {
      log.write({ event: 'directory.lookup-failed', level: 'warn', reason: String(error) });
    }
  }

  return {
    async of(fingerprint) {
      const now = clock().getTime();
      if (asked === null || Math.abs(now - asked.at) >= FRESH_MS) asked = { at: now, answer: ask() };
      await asked.answer;
      if (known === null) throw directoryUnavailable();
      return known.get(fingerprint) ?? null;
    },
  };
}

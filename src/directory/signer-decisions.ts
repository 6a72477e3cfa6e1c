import type { Log } from '../log/log.ts';
import type { Clock, SignerDecision, SignerDecisions } from '../pipeline/ports.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';
import { directoryUnavailable } from './asking.ts';
import { publicKeyHash, storedDecision, text } from './certificate-rows.ts';

/** Asked anew so often at most; a mailbox that is opened has hundreds of signed mails. */
const FRESH_MS = 2_000;

type Known = {
  byFingerprint: ReadonlyMap<string, SignerDecision>;
  /** Who is distrusted, by the key: without it a certificate that is written a little otherwise would be another one. */
  byKey: ReadonlyMap<string, SignerDecision>;
};

/**
 * What people have decided about signers' certificates. There are few decisions, so all of them are kept in memory: while the
 * database is away, those that were known last count, and mail is read as before.
 */
export function signerDecisions(store: SqlStore, clock: Clock, log: Log): SignerDecisions {
  /** null: never reached since the start, so nobody knows whom somebody distrusts. */
  let known: Known | null = null;
  let asked: { at: number; answer: Promise<void> } | null = null;

  async function ask(): Promise<void> {
    try {
      const rows =
        await store.query(sql`SELECT d.fingerprint AS fingerprint, d.decision AS decision, j.reason AS reason,
          j.by_whom AS by_whom, j.at AS decided_at, c.public_key AS public_key
        FROM certificate_decision d JOIN certificate_journal j ON j.id = d.journal
          LEFT JOIN certificate c ON c.fingerprint = d.fingerprint`);
      const found = {
        byFingerprint: new Map<string, SignerDecision>(),
        byKey: new Map<string, SignerDecision>(),
      };
      for (const row of rows) {
        const stored = storedDecision(row);
        if (stored === null) continue;
        const decision = { ...stored, at: new Date(stored.at) };
        found.byFingerprint.set(text(row.fingerprint), decision);
        const isDistrust = stored.decision === 'distrusted' && typeof row.public_key === 'string';
        if (isDistrust) found.byKey.set(text(row.public_key), decision);
      }
      known = found;
    } catch (error) {
      log.write({ event: 'directory.lookup-failed', level: 'warn', reason: String(error) });
    }
  }

  return {
    async of(fingerprint, subjectPublicKeyInfo) {
      const now = clock().getTime();
      if (asked === null || Math.abs(now - asked.at) >= FRESH_MS) asked = { at: now, answer: ask() };
      await asked.answer;
      if (known === null) throw directoryUnavailable();
      const said = known.byFingerprint.get(fingerprint);
      return said ?? known.byKey.get(publicKeyHash(subjectPublicKeyInfo)) ?? null;
    },
  };
}

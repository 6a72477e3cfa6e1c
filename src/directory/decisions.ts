import { type Row, type Statement, sql } from '../store/sql-store.ts';
import { text } from './certificate-rows.ts';

/**
 * What people decide about certificates, as statements: each decision is a line of a journal from which nothing is ever
 * deleted; undoing one is a line of its own.
 */

/** `trust`, `distrust`: of a certificate, whatever the address. `accept`, `pin`: of a certificate under one address. */
export type DecisionAction = 'trust' | 'distrust' | 'accept' | 'pin';

export type JournalEntry = {
  id: number;
  at: Date;
  by: string;
  action: DecisionAction | 'undo';
  fingerprint: string;
  address: string | null;
  reason: string;
  /** The line that undid this one; null: it stands. */
  undoneBy: number | null;
  /** The line that this one undoes. */
  undoes: number | null;
};

/** Who decides what, and why. `at`: milliseconds since 1970. */
export type Deciding = { by: string; reason: string; at: number };

/** The first statement gives the id of the journal's line. */
export function decideOnCertificate(
  fingerprint: string,
  action: 'trust' | 'distrust',
  { by, reason, at }: Deciding,
): readonly Statement[] {
  const decision = action === 'trust' ? 'trusted' : 'distrusted';
  return [
    sql`INSERT INTO certificate_journal (at, by_whom, action, fingerprint, address, reason, previous)
      VALUES (${at}, ${by}, ${action}, ${fingerprint}, NULL, ${reason}, coalesce(
        (SELECT decision || ' ' || CAST(journal AS TEXT) FROM certificate_decision WHERE fingerprint = ${fingerprint}), ''))
      RETURNING id`,
    sql`INSERT INTO certificate_decision (fingerprint, decision, journal)
      SELECT ${fingerprint}, ${decision}, max(id) FROM certificate_journal
        WHERE fingerprint = ${fingerprint} AND action = ${action}
      ON CONFLICT (fingerprint) DO UPDATE SET decision = excluded.decision, journal = excluded.journal`,
  ];
}

/**
 * Brings the certificate into use in place of the address's other ones; `pin` lets nothing but a person change that any more. The
 * first statement gives no row where the certificate is not known under the address, and nothing changes.
 */
export function decideUnderAddress(
  address: string,
  fingerprint: string,
  action: 'accept' | 'pin',
  { by, reason, at }: Deciding,
): readonly Statement[] {
  const there = sql`certificate = (SELECT id FROM certificate WHERE fingerprint = ${fingerprint})`;
  return [
    sql`INSERT INTO certificate_journal (at, by_whom, action, fingerprint, address, reason, previous)
      SELECT ${at}, ${by}, ${action}, ${fingerprint}, ${address}, ${reason},
        string_agg(CAST(id AS TEXT) || ' ' || state || ' ' || trust, ',' ORDER BY id)
      FROM known_address WHERE address = ${address}
      HAVING sum(CASE WHEN ${there} THEN 1 ELSE 0 END) = 1
      RETURNING id`,
    sql`UPDATE known_address SET state = 'superseded'
      WHERE address = ${address} AND state = 'current' AND NOT (${there})
        AND EXISTS (SELECT 1 FROM known_address WHERE address = ${address} AND ${there})`,
    action === 'pin'
      ? sql`UPDATE known_address SET state = 'current', trust = 'pinned' WHERE address = ${address} AND ${there}`
      : sql`UPDATE known_address SET state = 'current' WHERE address = ${address} AND ${there}`,
  ];
}

export function selectJournalLine(id: number): Statement {
  return sql`${JOURNAL} WHERE j.id = ${id}`;
}

export function selectJournalOf(fingerprint: string): Statement {
  return sql`${JOURNAL} WHERE j.fingerprint = ${fingerprint} ORDER BY j.id`;
}

/** Lines that stand, on the same certificate or the same address, and were written after it. */
export function selectLaterLines(line: JournalEntry): Statement {
  const same =
    line.address === null
      ? sql`j.fingerprint = ${line.fingerprint} AND j.action IN ('trust', 'distrust')`
      : sql`j.address = ${line.address} AND j.action IN ('accept', 'pin')`;
  return sql`${JOURNAL} WHERE j.id > ${line.id} AND u.id IS NULL AND ${same} ORDER BY j.id`;
}

const JOURNAL = sql`SELECT j.id AS id, j.at AS at, j.by_whom AS by_whom, j.action AS action, j.fingerprint AS fingerprint,
    j.address AS address, j.reason AS reason, j.previous AS previous, j.undoes AS undoes, u.id AS undone_by
  FROM certificate_journal j LEFT JOIN certificate_journal u ON u.undoes = j.id`;

/** `previous`: as the line's own statement wrote it. */
export function undoing(
  line: JournalEntry,
  previous: string,
  { by, reason, at }: Deciding,
): readonly Statement[] {
  return [
    // The UNIQUE constraint lets nobody undo a line twice.
    sql`INSERT INTO certificate_journal (at, by_whom, action, fingerprint, address, reason, previous, undoes)
      VALUES (${at}, ${by}, 'undo', ${line.fingerprint}, ${line.address}, ${reason}, '', ${line.id}) RETURNING id`,
    ...(line.address === null
      ? [restoredDecision(line.fingerprint, previous)]
      : previous
          .split(',')
          .filter((one) => one !== '')
          .map(restoredEntry)),
  ];
}

function restoredDecision(fingerprint: string, previous: string): Statement {
  const [decision = '', journal = ''] = previous.split(' ');
  if (decision === '') return sql`DELETE FROM certificate_decision WHERE fingerprint = ${fingerprint}`;
  return sql`UPDATE certificate_decision SET decision = ${decision}, journal = ${Number(journal)}
    WHERE fingerprint = ${fingerprint}`;
}

/** What was learnt since then stays: only what the decision changed is changed back. */
function restoredEntry(previous: string): Statement {
  const [id = '', state = '', trust = ''] = previous.split(' ');
  return sql`UPDATE known_address SET state = ${state},
      trust = CASE WHEN trust = 'pinned' THEN ${trust} ELSE trust END
    WHERE id = ${Number(id)}`;
}

export function journalEntry(row: Row): JournalEntry {
  return {
    id: Number(row.id),
    at: new Date(Number(row.at)),
    by: text(row.by_whom),
    // The table's CHECK constraint holds this.
    action: text(row.action) as JournalEntry['action'],
    fingerprint: text(row.fingerprint),
    address: row.address === null ? null : text(row.address),
    reason: text(row.reason),
    undoes: row.undoes === null ? null : Number(row.undoes),
    undoneBy: row.undone_by === null ? null : Number(row.undone_by),
  };
}

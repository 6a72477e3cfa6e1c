import { type Statement, sql } from '../../store/sql-store.ts';

/** The statements of the tables remote_answer (what was asked) and remote_sighting (what was found). Times: milliseconds since 1970. */

/** Answers about an address that still count. */
export function selectAnswers(address: string, now: number): Statement {
  return sql`SELECT source, found, asked_at, expires_at FROM remote_answer
    WHERE address = ${address} AND expires_at > ${now} AND asked_at <= ${now}`;
}

export function upsertAnswer(
  source: string,
  address: string,
  { found, now, expires }: { found: number; now: number; expires: number },
): Statement {
  return sql`INSERT INTO remote_answer (source, address, found, asked_at, expires_at)
    VALUES (${source}, ${address}, ${found}, ${now}, ${expires})
    ON CONFLICT (address, source) DO UPDATE
      SET found = excluded.found, asked_at = excluded.asked_at, expires_at = excluded.expires_at`;
}

export function deleteExpiredAnswers(now: number): Statement {
  return sql`DELETE FROM remote_answer WHERE expires_at <= ${now}`;
}

/** A certificate that is kept under the address and that the source has. */
export function upsertSighting(source: string, address: string, fingerprint: string, now: number): Statement {
  return sql`INSERT INTO remote_sighting (entry, source, first_seen, last_seen)
    SELECT k.id, ${source}, ${now}, ${now} FROM known_address k JOIN certificate c ON c.id = k.certificate
    WHERE k.address = ${address} AND c.fingerprint = ${fingerprint}
    ON CONFLICT (entry, source) DO UPDATE SET last_seen = excluded.last_seen`;
}

/** The source has this certificate of the address no more. */
export function deleteSighting(source: string, entry: number): Statement {
  return sql`DELETE FROM remote_sighting WHERE entry = ${entry} AND source = ${source}`;
}

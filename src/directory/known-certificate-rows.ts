import { createHash } from 'node:crypto';
import type { Harvest } from '../pipeline/ports.ts';
import { type Row, type Statement, sql } from '../store/sqlite.ts';

/** The statements of the table known_certificate (store/migrations.ts), and its rows as types. */

export type CertificateState = 'current' | 'pending' | 'superseded' | 'distrusted';
export type StoredTrust = 'harvested' | 'verified' | 'pinned';

export type StoredCertificate = {
  address: string;
  fingerprint: string;
  der: Buffer;
  issuer: Buffer;
  publicKey: string;
  trust: StoredTrust;
  state: CertificateState;
  capabilities: readonly string[];
  capabilitiesAt: number;
  firstSeen: number;
  lastSeen: number;
  timesSeen: number;
};

/** Certificates of one address that find() gives at most. */
const MOST_FOUND = 16;

export function publicKeyHash(subjectPublicKeyInfo: Buffer): string {
  return createHash('sha256').update(subjectPublicKeyInfo).digest('hex');
}

/** What is in use: valid at `now`; pinned ones alone where there are any. */
export function selectUsable(address: string, now: number): Statement {
  return sql`SELECT * FROM known_certificate
    WHERE address = ${address} AND state = 'current' AND not_before <= ${now} AND not_after >= ${now}
      AND (trust = 'pinned' OR NOT EXISTS (
        SELECT 1 FROM known_certificate WHERE address = ${address} AND state = 'current' AND trust = 'pinned'))
    ORDER BY CASE trust WHEN 'pinned' THEN 0 WHEN 'verified' THEN 1 ELSE 2 END, not_before DESC, last_seen DESC
    LIMIT ${MOST_FOUND}`;
}

export function selectHistory(address: string): Statement {
  return sql`SELECT * FROM known_certificate WHERE address = ${address} ORDER BY first_seen, fingerprint`;
}

export function selectAll(state: CertificateState | null, after: number, most: number): Statement {
  return sql`SELECT rowid, * FROM known_certificate
    WHERE rowid > ${after} AND (${state} IS NULL OR state = ${state}) ORDER BY rowid LIMIT ${most}`;
}

/** Nothing is inserted, and no row returned, when the history is not what the state was judged by any more. */
export function insertNewcomer(
  address: string,
  { certificate, trust, capabilities }: Harvest,
  state: 'current' | 'pending',
  capabilitiesAt: number,
  now: number,
  judgedBy: string,
): Statement {
  return sql`INSERT INTO known_certificate
      (address, fingerprint, der, issuer, public_key, not_before, not_after, trust, state, capabilities,
       capabilities_at, first_seen, last_seen, times_seen)
    SELECT ${address}, ${certificate.fingerprint}, ${certificate.der}, ${certificate.issuer.der},
      ${publicKeyHash(certificate.subjectPublicKeyInfo)}, ${certificate.notBefore.getTime()},
      ${certificate.notAfter.getTime()}, ${trust}, ${state}, ${JSON.stringify(capabilities)}, ${capabilitiesAt},
      ${now}, ${now}, 1
    WHERE ${judgedBy} = (
      SELECT coalesce(group_concat(fingerprint || state || trust, ' ' ORDER BY first_seen, fingerprint), '')
      FROM known_certificate WHERE address = ${address})
    RETURNING fingerprint`;
}

/** What `insertNewcomer` compares: the history as it was read. */
export function historyMark(history: readonly StoredCertificate[]): string {
  return history.map(({ fingerprint, state, trust }) => `${fingerprint}${state}${trust}`).join(' ');
}

/**
 * Trust rises and never falls by a mail (one that comes without its intermediates proves less, not the opposite), and a
 * pinned certificate stays pinned. Capabilities are those of the latest mail that names any, so that an old mail sent
 * again does not bring weaker ones back.
 */
export function updateSeen(
  address: string,
  { certificate, trust, capabilities }: Harvest,
  state: CertificateState,
  capabilitiesAt: number,
  now: number,
): Statement {
  const told = capabilities.length > 0 ? 1 : 0;
  const list = JSON.stringify(capabilities);
  return sql`UPDATE known_certificate SET
      last_seen = max(last_seen, ${now}),
      times_seen = times_seen + 1,
      trust = CASE WHEN trust = 'harvested' THEN ${trust} ELSE trust END,
      state = CASE WHEN state = 'pending' THEN ${state} ELSE state END,
      capabilities = CASE WHEN ${told} AND capabilities_at <= ${capabilitiesAt} THEN ${list} ELSE capabilities END,
      capabilities_at = CASE WHEN ${told} THEN max(capabilities_at, ${capabilitiesAt}) ELSE capabilities_at END
    WHERE address = ${address} AND fingerprint = ${certificate.fingerprint}`;
}

export type Decision = 'accept' | 'pin' | 'distrust';

/** One transaction: what a person decided, and what follows for the address's other certificates. */
export function reviewStatements(
  address: string,
  fingerprint: string,
  decision: Decision,
  reason: string,
  now: number,
): readonly Statement[] {
  const journal = sql`INSERT INTO certificate_review (address, fingerprint, decision, reason, decided_at)
    SELECT address, fingerprint, ${decision}, ${reason}, ${now} FROM known_certificate
    WHERE address = ${address} AND fingerprint = ${fingerprint} RETURNING id`;
  if (decision === 'distrust') {
    return [
      journal,
      sql`UPDATE known_certificate SET state = 'distrusted' WHERE address = ${address} AND fingerprint = ${fingerprint}`,
    ];
  }
  return [
    journal,
    sql`UPDATE known_certificate SET state = 'superseded'
      WHERE address = ${address} AND fingerprint <> ${fingerprint} AND state = 'current'
        AND EXISTS (SELECT 1 FROM known_certificate WHERE address = ${address} AND fingerprint = ${fingerprint})`,
    sql`UPDATE known_certificate SET state = 'current', trust = CASE ${decision} WHEN 'pin' THEN 'pinned' ELSE trust END
      WHERE address = ${address} AND fingerprint = ${fingerprint}`,
  ];
}

export function storedCertificate(row: Row): StoredCertificate {
  return {
    address: text(row.address),
    fingerprint: text(row.fingerprint),
    der: octets(row.der),
    issuer: octets(row.issuer),
    publicKey: text(row.public_key),
    // The table's CHECK constraints hold these.
    trust: text(row.trust) as StoredTrust,
    state: text(row.state) as CertificateState,
    capabilities: JSON.parse(text(row.capabilities)) as string[],
    capabilitiesAt: Number(row.capabilities_at),
    firstSeen: Number(row.first_seen),
    lastSeen: Number(row.last_seen),
    timesSeen: Number(row.times_seen),
  };
}

function text(value: Row[string] | undefined): string {
  if (typeof value !== 'string') throw new TypeError('a text column holds something else');
  return value;
}

function octets(value: Row[string] | undefined): Buffer {
  if (!(value instanceof Uint8Array)) throw new TypeError('a blob column holds something else');
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

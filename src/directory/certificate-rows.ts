import { createHash } from 'node:crypto';

import type { Certificate } from '../pki/certificate.ts';
import { containing, type Row, type Statement, sql } from '../store/sql-store.ts';
import type { AddressKey } from './address-key.ts';
import type { CertificateSource, CertificateTrust } from './source.ts';

/** The statements of the tables certificate and known_address (src/store), in what SQLite and PostgreSQL have in common, and their rows. */

export type CertificateState = 'current' | 'pending' | 'superseded';

/** What a person said of one certificate, whatever the address. */
export type StoredDecision = {
  decision: 'trusted' | 'distrusted';
  reason: string;
  by: string;
  at: number;
};

export type StoredCertificate = {
  id: number;
  address: string;
  fingerprint: string;
  der: Buffer;
  issuer: Buffer;
  publicKey: string;
  notBefore: number;
  notAfter: number;
  trust: CertificateTrust;
  state: CertificateState;
  source: CertificateSource;
  /** Names of the remote sources that have it for the address. */
  sources: readonly string[];
  capabilities: readonly string[];
  capabilitiesAt: number;
  firstSeen: number;
  lastSeen: number;
  timesSeen: number;
  decision: StoredDecision | null;
};

/** What is written of one certificate under one address. */
export type Newcomer = {
  key: AddressKey;
  certificate: Certificate;
  trust: CertificateTrust;
  source: CertificateSource;
  capabilities: readonly string[];
  /** Milliseconds since 1970, as all times here. */
  capabilitiesAt: number;
};

export function publicKeyHash(subjectPublicKeyInfo: Buffer): string {
  return createHash('sha256').update(subjectPublicKeyInfo).digest('hex');
}

/** Every column of an entry; conditions speak of k (known_address), c (certificate), d (certificate_decision). */
const ENTRIES = sql`SELECT k.id AS id, k.address AS address, k.trust AS trust, k.state AS state, k.source AS source,
    k.capabilities AS capabilities, k.capabilities_at AS capabilities_at, k.first_seen AS first_seen,
    k.last_seen AS last_seen, k.times_seen AS times_seen,
    (SELECT string_agg(r.source, ' ' ORDER BY r.source) FROM remote_sighting r WHERE r.entry = k.id) AS sources, c.fingerprint AS fingerprint, c.der AS der, c.issuer AS issuer,
    c.public_key AS public_key, c.not_before AS not_before, c.not_after AS not_after, d.decision AS decision, j.reason AS reason, j.by_whom AS by_whom, j.at AS decided_at
  FROM known_address k JOIN certificate c ON c.id = k.certificate
    LEFT JOIN certificate_decision d ON d.fingerprint = c.fingerprint
    LEFT JOIN certificate_journal j ON j.id = d.journal`;

export function selectOfAddress(address: string): Statement {
  return sql`${ENTRIES} WHERE k.address = ${address} ORDER BY k.first_seen, c.fingerprint`;
}

/** Of every address that differs from it in the local part's case alone, or not at all. */
export function selectFolded(folded: string, most: number): Statement {
  // What strangers bring in a thousand spellings must not push out what is trusted.
  return sql`${ENTRIES} WHERE k.folded = ${folded}
    ORDER BY CASE WHEN k.trust = 'harvested' AND d.decision IS NULL THEN 1 ELSE 0 END, k.id LIMIT ${most}`;
}

export function selectOfCertificate(fingerprint: string, most: number): Statement {
  return sql`${ENTRIES} WHERE c.fingerprint = ${fingerprint} ORDER BY k.id LIMIT ${most}`;
}

/** Entries in the order in which they came, after the one with the id `after`. */
export function selectWhere(condition: Statement, after: number, most: number): Statement {
  return sql`${ENTRIES} WHERE k.id > ${after} AND ${condition} ORDER BY k.id LIMIT ${most}`;
}

export function selectDecision(fingerprint: string): Statement {
  return sql`SELECT d.decision AS decision, j.reason AS reason, j.by_whom AS by_whom, j.at AS decided_at
    FROM certificate_decision d JOIN certificate_journal j ON j.id = d.journal WHERE d.fingerprint = ${fingerprint}`;
}

/**
 * A row where somebody distrusts a certificate with this key. CROSS JOIN: SQLite begins with the decisions, of which there are few; it
 * may not look at all certificates for their keys, which no index has.
 */
export function selectDistrustOfKey(subjectPublicKeyInfo: Buffer): Statement {
  return sql`SELECT 1 AS distrusted FROM certificate_decision d CROSS JOIN certificate c
    WHERE d.decision = 'distrusted' AND c.fingerprint = d.fingerprint
      AND c.public_key = ${publicKeyHash(subjectPublicKeyInfo)} LIMIT 1`;
}

/** The certificate itself; one that is there already stays as it is. */
export function insertCertificate(certificate: Certificate): Statement {
  const { serial, subject, issuer } = searchTexts(certificate);
  return sql`INSERT INTO certificate
      (fingerprint, issuer, public_key, serial, subject_text, issuer_text, not_before, not_after, der)
    VALUES (${certificate.fingerprint}, ${certificate.issuer.der}, ${publicKeyHash(certificate.subjectPublicKeyInfo)},
      ${serial}, ${subject}, ${issuer}, ${certificate.notBefore.getTime()}, ${certificate.notAfter.getTime()},
      ${certificate.der})
    ON CONFLICT (fingerprint) DO NOTHING`;
}

/** Nothing is inserted, and no row returned, when the history is not what the state was judged by any more. */
export function insertEntry(
  { key, certificate, trust, source, capabilities, capabilitiesAt }: Newcomer,
  state: 'current' | 'pending',
  now: number,
  judgedBy: string,
): Statement {
  return sql`INSERT INTO known_address
      (address, folded, domain, certificate, trust, state, source, capabilities, capabilities_at, first_seen,
       last_seen, times_seen)
    SELECT ${key.exact}, ${key.folded}, ${key.domain}, c.id, ${trust}, ${state}, ${source},
      ${JSON.stringify(capabilities)}, ${capabilitiesAt}, ${now}, ${now}, 1
    FROM certificate c
    WHERE c.fingerprint = ${certificate.fingerprint} AND ${historyIs(key.exact, judgedBy)}
    ON CONFLICT (address, certificate) DO NOTHING
    RETURNING id`;
}

/** Whether the history of an address is still what it was when it was read. */
function historyIs(address: string, mark: string): Statement {
  return sql`CAST(${mark} AS TEXT) = (
    SELECT coalesce(string_agg(h.fingerprint || k.state || k.trust, ' ' ORDER BY k.first_seen, h.fingerprint), '')
    FROM known_address k JOIN certificate h ON h.id = k.certificate WHERE k.address = ${address})`;
}

/** What `insertEntry` compares: the history as it was read. */
export function historyMark(history: readonly StoredCertificate[]): string {
  return history.map(({ fingerprint, state, trust }) => `${fingerprint}${state}${trust}`).join(' ');
}

/**
 * Trust rises and never falls by what comes (a mail without its intermediates proves less, not the opposite), and a
 * pinned certificate stays pinned. What only a remote source had is no longer its own once it comes by another way. Capabilities are those of the latest mail that names any, so that an old mail sent
 * again does not bring weaker ones back.
 */
export function updateSeen(
  id: number,
  { trust, source, capabilities, capabilitiesAt }: Newcomer,
  state: CertificateState,
  now: number,
): Statement {
  const rises =
    trust === 'verified'
      ? sql`CASE WHEN trust IN ('harvested', 'directory') THEN 'verified' ELSE trust END`
      : trust === 'directory'
        ? sql`CASE WHEN trust = 'harvested' THEN 'directory' ELSE trust END`
        : sql`trust`;
  const told =
    capabilities.length === 0
      ? sql``
      : sql`, capabilities = CASE WHEN capabilities_at <= ${capabilitiesAt}
            THEN ${JSON.stringify(capabilities)} ELSE capabilities END,
          capabilities_at = CASE WHEN capabilities_at <= ${capabilitiesAt} THEN ${capabilitiesAt} ELSE capabilities_at END`;
  return sql`UPDATE known_address SET
      last_seen = CASE WHEN last_seen < ${now} THEN ${now} ELSE last_seen END,
      times_seen = times_seen + 1,
      trust = ${rises},
      source = CASE WHEN source IN ('ldap', 'smimea', 'http-store') THEN ${source} ELSE source END,
      state = CASE WHEN state = 'pending' THEN ${state} ELSE state END${told}
    WHERE id = ${id}`;
}

const SEARCH_CHARACTERS = 500;

/** Names as they are searched: lower case, without what no database text may hold, never long. */
export function searchTexts({ serialNumber, subject, issuer }: Certificate) {
  return {
    serial: serialNumber.toString('hex').slice(0, SEARCH_CHARACTERS),
    subject: searchText(subject.text),
    issuer: searchText(issuer.text),
  };
}

export function searchText(text: string): string {
  return text
    .normalize('NFC')
    .toLowerCase()
    .replace(/\p{Cc}/gu, '\u{fffd}')
    .toWellFormed()
    .slice(0, SEARCH_CHARACTERS);
}

/** `LIKE` that takes every character of `text` as itself. */
export function contains(column: Statement, text: string): Statement {
  return sql`${column} LIKE ${containing(text)} ESCAPE '\\'`;
}

export function storedCertificate(row: Row): StoredCertificate {
  return {
    id: Number(row.id),
    address: text(row.address),
    fingerprint: text(row.fingerprint),
    der: octets(row.der),
    issuer: octets(row.issuer),
    publicKey: text(row.public_key),
    notBefore: Number(row.not_before),
    notAfter: Number(row.not_after),
    // The table's CHECK constraints hold these; sources are written by this folder alone.
    trust: text(row.trust) as CertificateTrust,
    state: text(row.state) as CertificateState,
    source: text(row.source) as CertificateSource,
    // Their names have no blanks.
    sources: row.sources == null ? [] : text(row.sources).split(' '),
    capabilities: JSON.parse(text(row.capabilities)) as string[],
    capabilitiesAt: Number(row.capabilities_at),
    firstSeen: Number(row.first_seen),
    lastSeen: Number(row.last_seen),
    timesSeen: Number(row.times_seen),
    decision: storedDecision(row),
  };
}

export function storedDecision(row: Row | undefined): StoredDecision | null {
  if (row === undefined || row.decision === null || row.decision === undefined) return null;
  return {
    decision: text(row.decision) as StoredDecision['decision'],
    reason: text(row.reason),
    by: text(row.by_whom),
    at: Number(row.decided_at),
  };
}

export function text(value: Row[string] | undefined): string {
  if (typeof value !== 'string') throw new TypeError('a text column holds something else');
  return value;
}

export function octets(value: Row[string] | undefined): Buffer {
  if (!(value instanceof Uint8Array)) throw new TypeError('a blob column holds something else');
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

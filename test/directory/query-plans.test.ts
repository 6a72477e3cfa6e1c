import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressKey } from '../../src/directory/address-key.ts';
import {
  insertCertificate,
  insertEntry,
  type Newcomer,
  selectDecision,
  selectDistrustOfKey,
  selectFolded,
  selectOfAddress,
  selectOfCertificate,
  selectWhere,
  updateSeen,
} from '../../src/directory/certificate-rows.ts';
import { decideOnCertificate, decideUnderAddress, selectJournalOf } from '../../src/directory/decisions.ts';
import {
  deleteExpiredAnswers,
  deleteSighting,
  selectAnswers,
  upsertAnswer,
  upsertSighting,
} from '../../src/directory/remote/remote-rows.ts';
import { type CertificateSearch, searchCondition } from '../../src/directory/search.ts';
import { openPostgresql } from '../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../src/store/postgresql-migrations.ts';
import type { SqlStore, Statement } from '../../src/store/sql-store.ts';
import { openSqlite, sql } from '../../src/store/sqlite.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { correspondent } from './correspondent.ts';

/** No look-up reads a whole table, however large it is. */

const key = addressKey('bob@partner.example');
if (key === null) throw new Error('an address');
const newcomer: Newcomer = {
  ...{ key, certificate: correspondent(), trust: 'verified', source: 'mail' },
  ...{ capabilities: ['1.2.3'], capabilitiesAt: 1 },
};
const deciding = { by: 'carol', reason: 'met', at: 1 };
const print = 'f'.repeat(64);
const found = (search: CertificateSearch) => selectWhere(searchCondition(search), 0, 10);

const LOOKUPS: readonly [string, Statement][] = [
  ['the certificates of an address', selectOfAddress(key.exact)],
  ['the same in any letter case', selectFolded(key.folded, 10)],
  ['the addresses of a certificate', selectOfCertificate(print, 10)],
  ['a decision', selectDecision(print)],
  ['whether a key is distrusted', selectDistrustOfKey(newcomer.certificate.subjectPublicKeyInfo)],
  ['the journal', selectJournalOf(print)],
  ['a new certificate', insertCertificate(newcomer.certificate)],
  ['a new entry', insertEntry(newcomer, 'current', 1, '')],
  ['an entry that was seen again', updateSeen(1, newcomer, 'current', 1)],
  ...decideUnderAddress(key.exact, print, 'pin', deciding).map(
    (one, i) => [`a pin, ${i}`, one] as [string, Statement],
  ),
  ...decideOnCertificate(print, 'trust', deciding).map(
    (one, i) => [`trust, ${i}`, one] as [string, Statement],
  ),
  ['what remote sources said', selectAnswers(key.exact, 1)],
  ['an answer of one', upsertAnswer('partner', key.exact, { found: 1, now: 1, expires: 2 })],
  ['a certificate that it has', upsertSighting('partner', key.exact, print, 1)],
  ['one that it has no more', deleteSighting('partner', 1)],
  ['answers that count no more', deleteExpiredAnswers(1)],
  ['a search by domain', found({ domain: 'partner.example' })],
  ['a search by serial number', found({ serial: '01' })],
  ['a search by fingerprint', found({ fingerprint: print })],
  ['a search for what waits', found({ state: 'pending' })],
];

describe('SQLite', () => {
  let folder: string;
  let store: SqlStore;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sealgate-plans-'));
    store = await openSqlite(join(folder, 'a.sqlite'));
  });
  afterAll(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(LOOKUPS)('finds %s by an index', async (_, { sql: text, parameters }) => {
    const rows = await store.query({ sql: `EXPLAIN QUERY PLAN ${text}`, parameters });
    const steps = rows.map(({ detail }) => String(detail));
    // A SCAN of what has no index and is no subquery of one row is a look at everything.
    expect(steps.filter((step) => /^SCAN (?!CONSTANT|\(subquery)/.test(step))).toEqual([]);
  });

  test('the list of what waits uses an index of that alone', async () => {
    const { sql: text, parameters } = found({ state: 'pending' });
    const rows = await store.query({ sql: `EXPLAIN QUERY PLAN ${text}`, parameters });
    expect(rows.map(({ detail }) => String(detail)).join('\n')).toContain('known_address_by_state');
  });
});

describe('PostgreSQL', () => {
  let server: Started<Postgresql>;
  let store: SqlStore;
  beforeAll(async () => {
    server = await postgresql();
    const place = { host: server.socket, port: server.port, database: await server.database(), user: 'test' };
    store = await openPostgresql(
      { ...place, password: null, tls: null, connections: 1, timeoutSeconds: 10 },
      postgresqlMigrations,
    );
  });
  afterAll(async () => {
    await store.close();
    await server.stop();
  });

  test.each(LOOKUPS)('can find %s by an index', async (_, { sql: text, parameters }) => {
    // Of a table without rows a scan is the cheapest; whether an index would do is what is asked.
    const [, rows] = await store.transaction([
      sql`SELECT set_config('enable_seqscan', 'off', true) AS off`,
      { sql: `EXPLAIN ${text}`, parameters },
    ]);
    const steps = (rows ?? []).map((row) => String(row['QUERY PLAN']));
    expect(steps.length).toBeGreaterThan(0);
    expect(steps.filter((step) => step.includes('Seq Scan'))).toEqual([]);
  });
});

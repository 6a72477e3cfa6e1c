import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { publicKeyHash } from '../../src/directory/certificate-rows.ts';
import { completeRows } from '../../src/directory/complete-rows.ts';
import { CertificateRegister } from '../../src/directory/register.ts';
import { SqlDirectory } from '../../src/directory/sql-directory.ts';
import { silentLog } from '../../src/log/log.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { migrations } from '../../src/store/migrations.ts';
import { openSqlite, sql } from '../../src/store/sqlite.ts';
import { BOB, correspondent } from '../directory/correspondent.ts';

const now = new Date('2026-06-01T00:00:00Z');

function oldRow(address: string, certificate: Certificate, trust: string, state: string) {
  return sql`INSERT INTO known_certificate VALUES (${address}, ${certificate.fingerprint}, ${certificate.der},
    ${certificate.issuer.der}, ${publicKeyHash(certificate.subjectPublicKeyInfo)}, ${certificate.notBefore.getTime()},
    ${certificate.notAfter.getTime()}, ${trust}, ${state}, '["1.2.3"]', 5, 6, 7, 8)`;
}

test('a directory of an older version keeps everything, and can be searched', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealgate-migration-'));
  try {
    const file = join(folder, 'directory.sqlite');
    const before = await openSqlite(file, migrations.slice(0, 3));
    const shared = correspondent({ mailboxes: [BOB, 'Robert@xn--bcher-kva.example'] });
    const stolen = correspondent({ key: 'stolen', serial: 77 });
    for (const row of [
      oldRow(BOB, shared, 'verified', 'current'),
      oldRow('Robert@xn--bcher-kva.example', shared, 'harvested', 'pending'),
      oldRow('"a@b"@partner.example', shared, 'harvested', 'current'),
      oldRow(BOB, stolen, 'harvested', 'distrusted'),
      sql`INSERT INTO certificate_review (address, fingerprint, decision, reason, decided_at)
        VALUES (${BOB}, ${stolen.fingerprint}, 'distrust', 'stolen', 9)`,
    ]) {
      await before.query(row);
    }
    await before.close();
    const store = await openSqlite(file);
    try {
      await completeRows(store);
      const register = new CertificateRegister({ store, clock: () => now });
      const directory = new SqlDirectory({ store, clock: () => now, log: silentLog });
      expect(await register.count()).toEqual({ entries: 4, certificates: 2 });
      expect(await directory.find(BOB)).toMatchObject([
        {
          trust: 'verified',
          source: 'mail',
          capabilities: ['1.2.3'],
          certificate: { fingerprint: shared.fingerprint },
        },
      ]);
      expect(await register.decision(stolen.fingerprint)).toMatchObject({
        decision: 'distrusted',
        reason: 'stolen',
      });
      const found = async (search: object) =>
        (await register.search(search, 10)).entries.map(({ address }) => address);
      expect(await found({ domain: 'bücher.example' })).toEqual(['Robert@xn--bcher-kva.example']);
      expect(await found({ domain: 'partner.example' })).toEqual([BOB, '"a@b"@partner.example', BOB]);
      expect(await found({ address: 'robert' })).toEqual(['Robert@xn--bcher-kva.example']);
      expect(await found({ serial: '4d' })).toEqual([BOB]);
      expect(await found({ subject: 'bob', state: 'pending' })).toEqual(['Robert@xn--bcher-kva.example']);
      expect((await register.history(BOB)).entries[0]).toMatchObject({
        ...{ firstSeen: new Date(6), lastSeen: new Date(7), timesSeen: 8 },
      });
    } finally {
      await store.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

import { parseCertificate } from '../pki/certificate.ts';
import { type SqlStore, type Statement, sql } from '../store/sql-store.ts';
import { addressKey } from './address-key.ts';
import { askingDirectory } from './asking.ts';
import { octets, searchTexts, text } from './certificate-rows.ts';

const AT_ONCE = 500;

/**
 * Fills in what certificates are searched by, for those that an older version kept. Where there are none, which is always but for
 * once, it costs one look into an index.
 */
export async function completeRows(store: SqlStore): Promise<void> {
  for (;;) {
    const rows = await askingDirectory(() =>
      store.query(sql`SELECT id, der FROM certificate WHERE serial IS NULL LIMIT ${AT_ONCE}`),
    );
    if (rows.length === 0) return;
    const statements: Statement[] = [];
    for (const row of rows) {
      const { serial, subject, issuer } = searchTexts(parseCertificate(octets(row.der)));
      const id = Number(row.id);
      statements.push(
        sql`UPDATE certificate SET serial = ${serial}, subject_text = ${subject}, issuer_text = ${issuer} WHERE id = ${id}`,
      );
      const entries = await askingDirectory(() =>
        store.query(sql`SELECT id, address FROM known_address WHERE certificate = ${id}`),
      );
      for (const entry of entries) {
        const key = addressKey(text(entry.address));
        if (key === null) continue;
        statements.push(
          sql`UPDATE known_address SET folded = ${key.folded}, domain = ${key.domain} WHERE id = ${Number(entry.id)}`,
        );
      }
    }
    await askingDirectory(() => store.transaction(statements));
  }
}

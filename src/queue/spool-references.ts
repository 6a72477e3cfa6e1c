import type { SqlStore } from '../store/sql-store.ts';
import { sql } from '../store/sql-store.ts';
import type { DeliveryId } from './ports.ts';

/**
 * Every name of a file in the spool that has a row, in whatever table: whoever keeps one keeps it in a column `spool`. The schema itself is
 * asked for the tables, so that none is forgotten.
 */
export async function spoolReferences(store: SqlStore): Promise<ReadonlySet<DeliveryId>> {
  const tables = await store.query(
    sql`SELECT m.name AS name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'spool'`,
  );
  const rows = await store.transaction(
    tables.map(({ name }) => ({ sql: `SELECT DISTINCT spool FROM "${String(name)}"`, parameters: [] })),
  );
  return new Set(rows.flat().map(({ spool }) => String(spool)));
}

import { SealgateError } from '../errors.ts';

/**
 * SQL as the rest of the gateway speaks it, whichever database answers: what SQLite and PostgreSQL understand alike.
 * Throws SealgateError `store.unavailable` (temporary).
 */
export interface SqlStore {
  /** One statement; rows of a SELECT or of RETURNING. */
  query(statement: Statement): Promise<readonly Row[]>;
  /** All of them or none, as if no other transaction ran at the same time; the rows of each. */
  transaction(statements: readonly Statement[]): Promise<readonly (readonly Row[])[]>;
  /** Waits for what is under way. Later calls fail. */
  close(): Promise<void>;
  /** Its own time as an expression, milliseconds since 1970, where several gateways ask it; absent: one does, whose time counts. */
  readonly clock?: Statement;
  /** The same by a connection of its own, for what must not wait behind everything else; absent: nothing waits long. */
  readonly urgent?: SqlStore;
  /**
   * The same for one statement that takes the first rows that nobody is at (`FOR UPDATE SKIP LOCKED`): it sees each row as it is when it gets to
   * it, so that it is in nobody's way and nobody is in its. Absent: nobody else writes.
   */
  readonly taking?: Pick<SqlStore, 'query'>;
}

export type SqlValue = null | number | string | Uint8Array;

/** Values never become part of the text of a statement: each is a `?` in it. */
export type Statement = { sql: string; parameters: readonly SqlValue[] };

export type Row = Readonly<Record<string, SqlValue>>;

/**
 * `sql` with values beside it: ``sql`SELECT * FROM t WHERE key = ${key}` ``. Values are bound, never inserted; what is itself
 * made with `sql` becomes a part of the text, with its own values.
 */
export function sql(text: TemplateStringsArray, ...parts: readonly (SqlValue | Statement)[]): Statement {
  let written = text[0] ?? '';
  const parameters: SqlValue[] = [];
  for (const [i, part] of parts.entries()) {
    if (isStatement(part)) {
      written += part.sql;
      parameters.push(...part.parameters);
    } else {
      written += '?';
      parameters.push(part);
    }
    written += text[i + 1] ?? '';
  }
  return { sql: written, parameters };
}

/** Conditions that must all hold; none: what always holds. */
export function allOf(conditions: readonly Statement[]): Statement {
  return {
    sql: conditions.length === 0 ? '1 = 1' : conditions.map((one) => `(${one.sql})`).join(' AND '),
    parameters: conditions.flatMap(({ parameters }) => parameters),
  };
}

/** Whether a column has one of these values; of none it never has. `column` is text of ours. */
export function oneOf(column: string, values: readonly SqlValue[]): Statement {
  if (values.length === 0) return { sql: '(1 = 0)', parameters: [] };
  return { sql: `(${column} IN (${values.map(() => '?').join(', ')}))`, parameters: values };
}

/** A pattern for `LIKE … ESCAPE '\'` that finds `text` anywhere, whatever is in it. */
export function containing(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`;
}

function isStatement(part: SqlValue | Statement): part is Statement {
  return typeof part === 'object' && part !== null && !(part instanceof Uint8Array);
}

/** The database was told to commit and did not answer: the transaction may have been written, or may yet be. */
export class InDoubt extends SealgateError {
  constructor(reason: string, cause: unknown) {
    super({ code: 'store.unavailable', publicText: UNAVAILABLE, duration: 'temporary', reason, cause });
  }
}

const UNAVAILABLE = "The gateway's database cannot be used just now.";

export function storeUnavailable(reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'store.unavailable',
    publicText: UNAVAILABLE,
    duration: 'temporary',
    reason,
    cause,
  });
}

export function storeUnusable(place: string, reason: string): SealgateError {
  return new SealgateError({
    code: 'store.unusable',
    publicText: `The database ${place} cannot be opened: ${reason}.`,
    duration: 'permanent',
  });
}

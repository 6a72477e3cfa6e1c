import type { Row, SqlStore, Statement } from './sql-store.ts';

/** Statements of one group, at most; a transaction that has more goes alone. */
const MOST_STATEMENTS = 1_000;

type Waiting = {
  statements: readonly Statement[];
  resolve(rows: readonly (readonly Row[])[]): void;
  reject(error: unknown): void;
};

/**
 * The same store, whose transactions share one commit with those that come while another one is written: on a disk that is what they cost.
 *
 * Holds: each is written whole or not at all, and is answered when it is durable. A group that fails is written again one by one, so that
 * none fails for another's sake: whoever uses this writes what may be written twice, as with any store that was lost before it answered.
 */
export function groupedTransactions(store: SqlStore): SqlStore {
  const group = new Group(store);
  return {
    query: (statement) => store.query(statement),
    transaction: (statements) => group.transaction(statements),
    close: () => store.close(),
  };
}

class Group {
  readonly #store: SqlStore;
  #waiting: Waiting[] = [];
  #writing = false;

  constructor(store: SqlStore) {
    this.#store = store;
  }

  transaction(statements: readonly Statement[]): Promise<readonly (readonly Row[])[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ statements, resolve, reject });
      void this.#write();
    });
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    while (this.#waiting.length > 0) await this.#writeGroup(this.#taken());
    this.#writing = false;
  }

  #taken(): readonly Waiting[] {
    let statements = 0;
    let count = 0;
    for (const one of this.#waiting) {
      statements += one.statements.length;
      if (count > 0 && statements > MOST_STATEMENTS) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    const [only] = group;
    if (only !== undefined && group.length === 1) {
      await this.#writeOne(only);
      return;
    }
    let rows: readonly (readonly Row[])[];
    try {
      rows = await this.#store.transaction(group.flatMap(({ statements }) => statements));
    } catch {
      for (const one of group) await this.#writeOne(one);
      return;
    }
    let at = 0;
    for (const { statements, resolve } of group) {
      resolve(rows.slice(at, at + statements.length));
      at += statements.length;
    }
  }

  async #writeOne({ statements, resolve, reject }: Waiting): Promise<void> {
    try {
      resolve(await this.#store.transaction(statements));
    } catch (error) {
      reject(error);
    }
  }
}

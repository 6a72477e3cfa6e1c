import { setTimeout as sleep } from 'node:timers/promises';
import { type MailId, newMailId } from '../ids.ts';
import { type Row, type SqlStore, sql } from '../store/sql-store.ts';
import type { Choice } from './held-mail.ts';

/**
 * What commands beside the gateway want of it. They have no keys and no mail server: they write down what is wanted, and the running gateway
 * does it and writes down what came of it.
 */
export type Wish = {
  id: string;
  mail: MailId;
  choice: Choice;
  /** null: all who wait. */
  recipients: readonly string[] | null;
  by: string;
};

/** `refused`, `unknown`: as for a choice. `failed`: it may be tried again. */
export type WishOutcome =
  | { kind: 'done' }
  | { kind: 'unknown' }
  | { kind: 'refused' | 'failed'; publicText: string };

/** @returns the wish's id */
export async function makeWish(store: SqlStore, wish: Omit<Wish, 'id'>, now: Date): Promise<string> {
  const id = newMailId();
  const recipients = wish.recipients === null ? null : JSON.stringify(wish.recipients);
  await store.query(
    sql`INSERT INTO held_wish (id, mail, choice, recipients, wished_by, wished_at, outcome)
      VALUES (${id}, ${wish.mail}, ${wish.choice}, ${recipients}, ${wish.by}, ${now.getTime()}, NULL)`,
  );
  return id;
}

/** Oldest first. */
export async function openWishes(store: SqlStore): Promise<readonly Wish[]> {
  const rows = await store.query(
    sql`SELECT id, mail, choice, recipients, wished_by FROM held_wish WHERE outcome IS NULL ORDER BY wished_at, id LIMIT 100`,
  );
  return rows.map(wishOf);
}

export async function noteOutcome(store: SqlStore, id: string, outcome: WishOutcome): Promise<void> {
  await store.query(sql`UPDATE held_wish SET outcome = ${JSON.stringify(outcome)} WHERE id = ${id}`);
}

/** null: no gateway has done it in that time; it is done when one runs. */
export async function awaitOutcome(
  store: SqlStore,
  id: string,
  { milliseconds }: { milliseconds: number },
): Promise<WishOutcome | null> {
  const until = performance.now() + milliseconds;
  for (;;) {
    const [row] = await store.query(sql`SELECT outcome FROM held_wish WHERE id = ${id}`);
    if (typeof row?.outcome === 'string') return JSON.parse(row.outcome) as WishOutcome;
    if (performance.now() >= until) return null;
    await sleep(200);
  }
}

function wishOf({ id, mail, choice, recipients, wished_by }: Row): Wish {
  return {
    id: String(id),
    mail: String(mail) as MailId,
    choice: String(choice) as Choice,
    recipients: typeof recipients === 'string' ? (JSON.parse(recipients) as string[]) : null,
    by: String(wished_by),
  };
}

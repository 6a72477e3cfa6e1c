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

/** Of several gateways one does what is wished. So long after one has begun it is taken for dead, milliseconds. */
const TAKEN_MS = 60_000;

/** In the place of an outcome. `mark`: of whoever has it in hand. */
type Taken = { kind: 'taken'; at: number; mark: string };

const TAKEN = '{"kind":"taken"%';

/** What nobody has in hand, oldest first. */
export async function openWishes(store: SqlStore, now: Date): Promise<readonly Wish[]> {
  const rows = await store.query(
    sql`SELECT id, mail, choice, recipients, wished_by, outcome FROM held_wish
      WHERE outcome IS NULL OR outcome LIKE ${TAKEN} ORDER BY wished_at, id LIMIT 100`,
  );
  return rows.filter(({ outcome }) => !isInHand(outcome, now)).map(wishOf);
}

/** @returns what `noteOutcome` asks for; null: somebody else has it in hand */
export async function takeWish(store: SqlStore, id: string, now: Date): Promise<string | null> {
  const [row] = await store.query(sql`SELECT outcome FROM held_wish WHERE id = ${id}`);
  if (row === undefined || isInHand(row.outcome, now)) return null;
  const former = typeof row.outcome === 'string' ? row.outcome : '';
  const taken: Taken = { kind: 'taken', at: now.getTime(), mark: newMailId() };
  const mark = JSON.stringify(taken);
  const rows = await store.query(
    sql`UPDATE held_wish SET outcome = ${mark} WHERE id = ${id} AND coalesce(outcome, '') = ${former} RETURNING id`,
  );
  return rows.length > 0 ? mark : null;
}

/** @param mark of `takeWish`. Somebody else who has it in hand by now says what came of it. */
export async function noteOutcome(
  store: SqlStore,
  { id, mark }: { id: string; mark: string },
  outcome: WishOutcome,
): Promise<void> {
  await store.query(
    sql`UPDATE held_wish SET outcome = ${JSON.stringify(outcome)} WHERE id = ${id} AND outcome = ${mark}`,
  );
}

/** Nothing is known of a gateway that was to do it before, so whoever is asked about it is not told of it for a while. */
function isInHand(outcome: unknown, now: Date): boolean {
  if (typeof outcome !== 'string') return false;
  const said = JSON.parse(outcome) as WishOutcome | Taken;
  return said.kind !== 'taken' || Math.abs(now.getTime() - said.at) < TAKEN_MS;
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
    const said = typeof row?.outcome === 'string' ? (JSON.parse(row.outcome) as WishOutcome | Taken) : null;
    if (said !== null && said.kind !== 'taken') return said;
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

import type { MailId } from '../ids.ts';
import type { SqlStore } from '../store/sql-store.ts';
import { addressOf } from './address.ts';
import type { Choice, HeldMail } from './held-mail.ts';
import { type HeldPart, isFrom, isOfMail, readParts, waits } from './held-rows.ts';
import { isWaiting } from './held-store.ts';

/** What waits, whoever looks: the running gateway, or a command beside it. */

/** Newest first. `from`: of this address alone, however its local part is written. */
export async function listHeld(
  store: SqlStore,
  { from, limit }: { from: string | null; limit: number },
): Promise<readonly HeldMail[]> {
  const wanted = from === null ? null : addressOf(from);
  const conditions = wanted === null ? [waits] : [waits, isFrom(wanted)];
  const parts = await readParts(store, conditions, { order: 'newest', limit });
  const found = wanted === null ? parts : ofOneSpelling(parts, wanted.exact);
  const mails = await Promise.all([...new Set(found.map(({ id }) => id))].map((id) => findHeld(store, id)));
  return mails.filter((mail) => mail !== null);
}

/** Also one for which nobody waits any more, for some days. */
export async function findHeld(store: SqlStore, id: MailId): Promise<HeldMail | null> {
  return heldMail(await readParts(store, [isOfMail(id)], { order: 'spool', limit: MOST_PARTS }));
}

/** A mail has one part for each rule that held some of it. */
const MOST_PARTS = 1_000;

/** Whoever sees one person's mail sees nobody else's whose address differs in case alone. */
function ofOneSpelling(parts: readonly HeldPart[], wanted: string): readonly HeldPart[] {
  const spelt = ({ from }: HeldPart) => addressOf(from).exact;
  const exact = parts.filter((part) => spelt(part) === wanted);
  const [newest] = parts;
  if (exact.length > 0 || newest === undefined) return exact;
  return parts.filter((part) => spelt(part) === spelt(newest));
}

/** null: there are no parts. */
function heldMail(parts: readonly HeldPart[]): HeldMail | null {
  const [first] = parts;
  if (first === undefined) return null;
  const waiting = parts.filter(({ recipients }) => recipients.some(isWaiting));
  return {
    ...{ id: first.id, from: first.from, login: first.login },
    // A rule that hides it is not undone by another one.
    subject: parts.every(({ subject }) => subject !== null) ? first.subject : null,
    heldAt: first.heldAt,
    expiresAt: first.expiresAt,
    rule: [...new Set(parts.map(({ terms }) => terms.rule))].sort().join(', '),
    recipients: parts.flatMap(({ recipients }) =>
      recipients.map(({ address, state, because }) => ({ address, state, because })),
    ),
    choices: waiting.length === 0 ? [] : choicesOf(waiting),
  };
}

function choicesOf(waiting: readonly HeldPart[]): Choice[] {
  return waiting.some(({ readable }) => readable)
    ? ['send-signed', 'wait', 'discard', 'release']
    : ['wait', 'discard', 'release'];
}

import type { MailToHold } from '../pipeline/waiting.ts';
import type { MailToDeliver } from '../queue/ports.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { type SqlStore, type Statement, sql } from '../store/sql-store.ts';
import { addressOf } from './address.ts';

/** How long nobody gets a second note of the same sender. */
export const INTRODUCED_ONCE_IN_MS = 7 * 24 * 60 * 60 * 1000;

export type Introductions = {
  deliveries: readonly MailToDeliver[];
  /** For the same transaction. */
  statements: readonly Statement[];
};

/**
 * The notes that ask those who wait for a signed answer, to each of whom none went a short while ago. To be called for one sender at a time,
 * or two mails at once bring two.
 *
 * @throws SealgateError `store.unavailable`
 */
export async function introductionsFor(
  mails: readonly MailToHold[],
  store: SqlStore,
  { now, expiresAt }: { now: Date; expiresAt: Date },
): Promise<Introductions> {
  const deliveries: MailToDeliver[] = [];
  const statements: Statement[] = [];
  const asked = new Set<string>();
  for (const { id, from, envelope, recipients, terms, introduction } of mails) {
    // RFC 3834 §2: what a program has written begins no further exchange.
    if (introduction === null || envelope.reversePath === null) continue;
    const sender = addressOf(from).exact;
    const fresh: Recipient[] = [];
    for (const { recipient } of recipients) {
      const { folded } = addressOf(recipient.mailbox);
      if (asked.has(folded) || (await wasIntroduced(store, sender, folded, now))) continue;
      asked.add(folded);
      // What the mail asks to be told of is not asked for a note.
      fresh.push({ mailbox: recipient.mailbox, parameters: [] });
      statements.push(
        sql`INSERT INTO introduced (sender, recipient, introduced_at) VALUES (${sender}, ${folded}, ${now.getTime()})
          ON CONFLICT (sender, recipient) DO UPDATE SET introduced_at = ${now.getTime()}`,
      );
    }
    // Each on her own: no server is told in one transaction who else waits.
    for (const recipient of fresh) {
      deliveries.push({
        ...{ id, purpose: 'introduction', way: { kind: 'smtp' }, octets: introduction, expiresAt },
        envelope: {
          reversePath: envelope.reversePath,
          mailParameters: envelope.mailParameters.filter(({ keyword }) => keyword === 'SMTPUTF8'),
          recipients: [recipient],
        },
        requireTls: terms.requireTls,
      });
    }
  }
  return { deliveries, statements };
}

async function wasIntroduced(
  store: SqlStore,
  sender: string,
  recipient: string,
  now: Date,
): Promise<boolean> {
  const rows = await store.query(
    sql`SELECT 1 FROM introduced WHERE sender = ${sender} AND recipient = ${recipient}
      AND introduced_at > ${now.getTime() - INTRODUCED_ONCE_IN_MS}`,
  );
  return rows.length > 0;
}

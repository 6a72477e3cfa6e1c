import { createHash } from 'node:crypto';
import type { Recipient } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';
import type { DeliveredVariants, HandOver, Submission, SubmissionOutcome, Variant } from './ports.ts';
import { replyText } from './refusal.ts';

/**
 * Hands the variants of one mail over, one after another, and answers for the whole.
 *
 * Holds: a 250 means every recipient's variant was accepted upstream. After a partial hand-over the client gets 451 or 554
 * with the names; what was delivered is remembered, so that the client's retry delivers only the rest.
 * Must never happen: a recipient that nobody accepted is covered by a 250; a recipient gets the mail twice because of us.
 */
export async function handOverAll(
  submission: Submission,
  variants: readonly Variant[],
  upstream: HandOver,
  delivered: DeliveredVariants,
): Promise<SubmissionOutcome> {
  // One recipient is never delivered in part: the common case pays for no look-up.
  const divisible = submission.envelope.recipients.length > 1;
  const rest = divisible ? await withoutDelivered(submission, variants, delivered) : variants;
  const done: Recipient[] = [];
  let last: Reply | null = null;
  for (const [index, variant] of rest.entries()) {
    const outcome = await upstream.deliver(variant);
    switch (outcome.kind) {
      case 'accepted':
        last = outcome.reply;
        done.push(...variant.recipients);
        if (rest.length > 1) await rememberDelivered(submission, variant, delivered);
        break;
      case 'rejected':
      case 'unreachable':
        return {
          kind: 'refused',
          reply: stopped(
            outcome,
            done,
            rest.slice(index).flatMap(({ recipients }) => recipients),
          ),
        };
    }
  }
  return {
    kind: 'accepted',
    reply: last ?? { code: 250, lines: ['2.0.0 Every recipient already has this message'] },
  };
}

type Stop = { kind: 'rejected'; reply: Reply } | { kind: 'unreachable'; reason: string };

/** What the client is told when the hand-over stopped; the upstream's own reply where that is the whole truth. */
function stopped(stop: Stop, done: readonly Recipient[], missing: readonly Recipient[]): Reply {
  if (stop.kind === 'rejected' && done.length === 0) return stop.reply;
  const cause =
    stop.kind === 'rejected'
      ? `the mail server said ${stop.reply.code} ${stop.reply.lines.join(' ')}`
      : 'the connection to the mail server was lost before its answer';
  if (done.length === 0)
    return { code: 451, lines: [`4.4.2 ${replyText(`Not confirmed: ${cause}. Please send again.`)}`] };
  const temporary = stop.kind === 'unreachable' || stop.reply.code < 500;
  const facts = `Sent to ${names(done)}, but not to ${names(missing)}: ${cause}.`;
  const advice = temporary ? ' Send again: only the missing ones will get it.' : '';
  return {
    code: temporary ? 451 : 554,
    lines: [`${temporary ? '4.4.2' : '5.4.0'} ${replyText(`${facts}${advice}`)}`],
  };
}

function names(recipients: readonly Recipient[]): string {
  const shown = recipients.slice(0, 4).map(({ mailbox }) => `${mailbox.localPart}@${mailbox.domain}`);
  return recipients.length > shown.length
    ? `${shown.join(', ')} and ${recipients.length - shown.length} more`
    : shown.join(', ');
}

async function withoutDelivered(
  submission: Submission,
  variants: readonly Variant[],
  delivered: DeliveredVariants,
): Promise<Variant[]> {
  const rest: Variant[] = [];
  const digest = submissionDigest(submission);
  for (const variant of variants) {
    const known = await Promise.all(variant.recipients.map((one) => delivered.has(deliveryKey(digest, one))));
    const recipients = variant.recipients.filter((_, index) => known[index] === false);
    if (recipients.length > 0) rest.push({ ...variant, recipients });
  }
  return rest;
}

async function rememberDelivered(
  submission: Submission,
  variant: Variant,
  delivered: DeliveredVariants,
): Promise<void> {
  const digest = submissionDigest(submission);
  await Promise.all(variant.recipients.map((one) => delivered.record(deliveryKey(digest, one))));
}

/** Login and octets: another user's or a changed mail is never taken for a retry. */
function submissionDigest({ origin, octets }: Submission): string {
  return createHash('sha256').update(origin.principal.login).update('\0').update(octets).digest('hex');
}

function deliveryKey(digest: string, { mailbox }: Recipient): string {
  return createHash('sha256')
    .update(`${digest}\0${mailbox.localPart}@${mailbox.domain.toLowerCase()}`)
    .digest('hex');
}

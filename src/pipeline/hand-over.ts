import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { type Reply, reply, summary } from '../smtp/reply.ts';
import type { ArchiveCopies } from './archive-copies.ts';
import { DeliveryMemory } from './delivery-memory.ts';
import { handOverVariant, logDefect } from './hand-over-variant.ts';
import { heldReply, Individually, type Stop, stopReply } from './partial-hand-over.ts';
import { PendingCopies } from './pending-copies.ts';
import type { DeliveredVariants, HandOver, StoreAndForward, Submission, SubmissionOutcome } from './ports.ts';
import type { PreparedVariant } from './protect.ts';
import { ownReply, refusalOf } from './refusal.ts';
import { TheRest } from './the-rest.ts';
import { broken } from './variant-algorithms.ts';
import type { Holding, MailToHold } from './waiting.ts';

/** One mail, whole: what leaves now, and what waits. Every recipient is in one of them. */
export type PreparedMessages = { variants: readonly PreparedVariant[]; waiting: readonly MailToHold[] };

export type HandOverParts = {
  delivered: DeliveredVariants;
  /** Where mail waits; null or absent: nowhere. */
  holding?: Holding | null;
  /** Where copies go; null or absent: nowhere. */
  archives?: ArchiveCopies | null;
  /** Takes what the upstream does not, once it has taken a part; null or absent: the client sends again. */
  storeAndForward?: StoreAndForward | null;
  log: Log;
};

export type HandedOver = SubmissionOutcome & {
  /** Who has the mail, from this attempt or an earlier one. */
  has: readonly Recipient[];
  /** For whom it is kept now. */
  waits: readonly Recipient[];
};

/**
 * Hands the variants of one mail over, one after another, keeps what waits after them, and answers for the whole.
 *
 * Holds: a 250 means every recipient's variant was accepted upstream, or is kept, or its sender is told by mail that it was refused. Where
 * nothing can be kept, the client gets 451 or 554 with the names after a partial hand-over; what was delivered is remembered until the rest is, so
 * that the client's retry delivers only the rest.
 * Must never happen: a recipient that nobody accepted is covered by a 250; a recipient gets the mail twice because of us;
 * a reply that says nothing was sent when something was.
 *
 * As with any SMTP server, a client that does not hear our reply sends the whole mail again (RFC 5321 §6.1).
 *
 * Throws only what keeps the first variant from being handed over.
 */
export async function handOverAll(
  submission: Submission,
  messages: PreparedMessages,
  upstream: HandOver,
  parts: HandOverParts,
): Promise<HandedOver> {
  const pending = new PendingCopies();
  try {
    return await handAllOver(submission, messages, upstream, { ...parts, pending });
  } finally {
    await pending.takenBack();
  }
}

async function handAllOver(
  submission: Submission,
  { variants, waiting }: PreparedMessages,
  upstream: HandOver,
  { pending, ...parts }: HandOverParts & { pending: PendingCopies },
): Promise<HandedOver> {
  const { delivered, holding = null, storeAndForward = null, log } = parts;
  /** Nobody has anything before all of it is there. */
  const wholly = upstream.commit !== undefined;
  const rest = new TheRest(submission, wholly ? null : storeAndForward, log);
  const all = [...variants.flatMap(({ recipients }) => recipients), ...waiting.flatMap(whoWait)];
  const memory = new DeliveryMemory(submission, delivered, log);
  // Of a mail program's mail one recipient never was a part, and the common case pays for no look-up; a server tries again for each alone, too.
  const mayHaveIt = all.length > 1 || submission.origin.arrival !== undefined;
  const earlier = mayHaveIt ? await memory.whoHasIt(all) : new Set<Recipient>();
  const leaving = largestFirst(without(earlier, variants));
  const held = stillWaiting(earlier, waiting);
  const done: Recipient[] = all.filter((one) => earlier.has(one));
  const retry = { safe: true };
  const stopped = (
    stop: Stop,
    missing: readonly Recipient[],
    waits: readonly Recipient[] = [],
  ): HandedOver => {
    if (wholly) done.length = earlier.size;
    const reply = stopReply(stop, { done, missing, retryIsSafe: retry.safe }, submission.id);
    log.write({
      event: 'mail.refused',
      level: 'warn',
      mail: submission.id,
      code: stop.kind === 'not-kept' ? stop.refusal.code : `upstream.${stop.kind}`,
      reason: stop.kind === 'unreachable' ? `${summary(reply)} (${stop.reason})` : summary(reply),
    });
    const each = new Map([
      ...[...done, ...waits].map((one) => [one, HAS_IT] as const),
      ...individually.replies,
    ]);
    return { kind: 'refused', reply, has: done, waits, each };
  };
  const individually = new Individually();
  let last: Reply | null = null;
  for (const [index, prepared] of leaving.entries()) {
    const isFirst = wholly || done.length === 0;
    const outcome = await handOverVariant(prepared, submission, isFirst, upstream, {
      ...parts,
      rest,
      pending,
    });
    if (outcome.kind === 'kept') continue;
    if (outcome.kind === 'each') {
      individually.add(outcome);
      const has = prepared.recipients.filter((one) => individually.accepted.has(one));
      done.push(...has);
      retry.safe = (await memory.remember(has)) && retry.safe;
      continue;
    }
    if (outcome.kind !== 'accepted') {
      const missing = leaving.slice(index).flatMap(({ recipients }) => recipients);
      const { refused } = individually;
      const dropped = await rest.drop();
      return stopped(outcome, [...refused.keys(), ...dropped, ...missing, ...held.flatMap(whoWait)]);
    }
    last = outcome.reply;
    done.push(...prepared.recipients);
    const isLast = index + 1 === leaving.length && held.length === 0 && rest.isEmpty;
    const more = !isLast || individually.stop !== null;
    if (more && !wholly) retry.safe = (await memory.remember(prepared.recipients)) && retry.safe;
  }
  if (held.length > 0) {
    const stop = await keep(held, wholly || done.length === 0, holding, log);
    if (stop !== null) {
      const dropped = await rest.drop();
      return stopped(stop, [...individually.refused.keys(), ...dropped, ...held.flatMap(whoWait)]);
    }
    if (individually.stop !== null) retry.safe = (await memory.remember(held.flatMap(whoWait))) && retry.safe;
  }
  const uncommitted = await rest.commit(upstream);
  // Where nobody knows whether it is there, a copy too many is better than none.
  if (uncommitted === null || isInDoubt(uncommitted)) await pending.left();
  if (uncommitted !== null) {
    const waits = held.flatMap(whoWait);
    const missing = wholly ? leaving.flatMap(({ recipients }) => recipients) : rest.recipients;
    const { refused } = individually;
    if (waits.length > 0) retry.safe = (await memory.remember(waits)) && retry.safe;
    return stopped(uncommitted, [...refused.keys(), ...missing], waits);
  }
  if (individually.stop !== null) {
    return stopped(individually.stop, [...individually.refused.keys()], held.flatMap(whoWait));
  }
  const inParts = !wholly && leaving.length + Math.min(held.length, 1) > 1;
  if (inParts || earlier.size > 0) await memory.forget(all);
  const standing = { has: [...done, ...rest.kept], waits: held.flatMap(whoWait) };
  if (!rest.isEmpty) return { kind: 'accepted', reply: rest.reply(done, submission.id), ...standing };
  if (last !== null) return { kind: 'accepted', reply: last, ...standing };
  const reply =
    held.length > 0
      ? heldReply(
          held.flatMap(whoWait),
          held.some(({ terms, envelope }) => terms.ask && envelope.reversePath !== null),
          submission.id,
        )
      : ownReply(250, '2.0.0', 'Every recipient already has this message', submission.id);
  return { kind: 'accepted', reply, ...standing };
}

/** All that waits, or nothing. Thrown while nobody has anything; after that it is a reason to stop. */
async function keep(
  mails: readonly MailToHold[],
  isFirst: boolean,
  holding: Holding | null,
  log: Log,
): Promise<Stop | null> {
  try {
    if (holding === null) throw broken('decided to hold without a place for it');
    await holding.hold(mails);
  } catch (error) {
    if (isFirst) throw error;
    if (!(error instanceof SealgateError)) logDefect(log, error);
    return { kind: 'not-kept', refusal: refusalOf(error) };
  }
  return null;
}

function whoWait({ recipients }: MailToHold): readonly Recipient[] {
  return recipients.map(({ recipient }) => recipient);
}

function stillWaiting(earlier: ReadonlySet<Recipient>, waiting: readonly MailToHold[]): MailToHold[] {
  return waiting
    .map((mail) => ({
      ...mail,
      recipients: mail.recipients.filter(({ recipient }) => !earlier.has(recipient)),
    }))
    .filter(({ recipients }) => recipients.length > 0);
}

function isInDoubt(stop: Stop): boolean {
  return stop.kind === 'not-kept' && stop.refusal.code === 'queue.in-doubt';
}

/** To a client that takes a reply for each recipient (LMTP). */
const HAS_IT: Reply = reply(250, '2.0.0', 'Sent');

/**
 * What is most likely to be refused goes first, while nobody has anything yet: encrypted messages are larger than others
 * and grow with every recipient, and not every server takes them.
 */
function largestFirst(variants: readonly PreparedVariant[]): readonly PreparedVariant[] {
  const rank = ({ protection, recipients, deferred }: PreparedVariant): number =>
    deferred === true ? -1 : (protection.encrypted ? 1_000_000 : 0) + recipients.length;
  return [...variants].sort((one, other) => rank(other) - rank(one));
}

function without(
  earlier: ReadonlySet<Recipient>,
  variants: readonly PreparedVariant[],
): readonly PreparedVariant[] {
  if (earlier.size === 0) return variants;
  return variants
    .map((variant) => ({ ...variant, recipients: variant.recipients.filter((one) => !earlier.has(one)) }))
    .filter(({ recipients }) => recipients.length > 0);
}

import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { type Reply, reply, summary } from '../smtp/reply.ts';
import { toldRecipients } from '../smtp/told-recipients.ts';
import { type ArchiveCopies, type KeptCopies, NO_COPIES } from './archive-copies.ts';
import { DeliveryMemory } from './delivery-memory.ts';
import { heldReply, Individually, type Stop, stopReply } from './partial-hand-over.ts';
import { PendingCopies } from './pending-copies.ts';
import type {
  DeliveredVariants,
  HandOver,
  HandOverOutcome,
  StoreAndForward,
  Submission,
  SubmissionOutcome,
  Variant,
} from './ports.ts';
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
    const outcome = await handOver(prepared, submission, isFirst, upstream, { ...parts, rest, pending });
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

/** One variant. While nobody has anything a failure to make it is thrown; after that it is a reason to stop. */
async function handOver(
  { make, discard, rule, appendTo, ...variant }: PreparedVariant,
  submission: Submission,
  isFirst: boolean,
  upstream: HandOver,
  { archives = null, rest, pending, log }: HandOverParts & { rest: TheRest; pending: PendingCopies },
): Promise<Stop | Extract<HandOverOutcome, { kind: 'accepted' | 'each' }> | { kind: 'kept' }> {
  const { id: mail, origin } = submission;
  let octets: OctetSource;
  let copies: KeptCopies;
  try {
    octets = underTrace(submission, await make());
    copies = await keepCopies({ ...variant, appendTo, octets }, submission, archives);
  } catch (error) {
    if (isFirst) throw error;
    if (!(error instanceof SealgateError)) logDefect(log, error);
    return { kind: 'failed', refusal: refusalOf(error) };
  }
  const recipients = variant.recipients.length;
  const to = told(variant.recipients);
  const { protection } = variant;
  const size = octets.length;
  log.write({
    event: 'mail.protected',
    level: 'info',
    ...{ mail, rule, to, recipients },
    ...protection,
    ...(variant.opened === true ? { opened: true as const } : {}),
    octets: size,
  });
  const outcome = await deliver(upstream, { ...variant, octets }, log);
  const kept = isFirst ? 'not' : await rest.take({ ...variant, octets }, outcome);
  // Where nobody knows whether the mail left, a copy too many is better than none.
  if (kept === 'kept' || (upstream.commit !== undefined && outcome.kind === 'accepted')) pending.add(copies);
  else await (hasNotLeft(outcome) ? copies.takenBack() : copies.left());
  await discard?.();
  if (kept !== 'not') return { kind: 'kept' };
  const taken = acceptedIn(outcome, variant.recipients);
  const [first] = taken;
  // What is put into the queue says so itself, once it is there.
  if (first !== undefined && upstream.commit === undefined) {
    const { listener } = origin;
    log.write({
      event: 'mail.handed-over',
      level: 'info',
      ...{ mail, listener, to: told(taken.map(({ recipient }) => recipient)), recipients: taken.length },
      reply: summary(first.reply),
    });
  }
  return outcome;
}

/** RFC 5321 §4.4: at the beginning, whatever the message is. What is remembered of the mail is of its octets without it. */
function underTrace({ trace }: Submission, octets: OctetSource): OctetSource {
  return trace === undefined ? octets : joinedSource([bufferSource(trace), octets]);
}

/** Before the mail leaves, so that none leaves without its copies. */
async function keepCopies(
  { appendTo, requireTls, octets }: Variant & Pick<PreparedVariant, 'appendTo'>,
  { id, origin }: Submission,
  archives: ArchiveCopies | null,
): Promise<KeptCopies> {
  if (appendTo.length === 0) return NO_COPIES;
  if (archives === null) throw broken('decided on a copy without a place for it');
  const { login } = origin.principal;
  return archives.keep({
    ...{ id, login, archives: appendTo, octets },
    requireTls: requireTls ? 'upstream' : 'no',
  });
}

function isInDoubt(stop: Stop): boolean {
  return stop.kind === 'not-kept' && stop.refusal.code === 'queue.in-doubt';
}

/** For certain. */
function hasNotLeft(outcome: HandOverOutcome): boolean {
  if (outcome.kind === 'each') return outcome.outcomes.every((each) => hasNotLeft(each.outcome));
  return outcome.kind === 'rejected' || (outcome.kind === 'unreachable' && outcome.unsent === true);
}

function acceptedIn(
  outcome: HandOverOutcome,
  all: readonly Recipient[],
): readonly { recipient: Recipient; reply: Reply }[] {
  const { kind } = outcome;
  if (kind === 'accepted') return all.map((recipient) => ({ recipient, reply: outcome.reply }));
  if (kind !== 'each') return [];
  return outcome.outcomes.flatMap(({ recipient, outcome: one }) =>
    one.kind === 'accepted' ? [{ recipient, reply: one.reply }] : [],
  );
}

function told(recipients: readonly Recipient[]): string {
  return toldRecipients(recipients, limits.trail.stepRecipientCharacters);
}

/** To a client that takes a reply for each recipient (LMTP). */
const HAS_IT: Reply = reply(250, '2.0.0', 'Sent');

/** HandOver throws nothing; if it does all the same, nobody knows whether the upstream has the message. */
async function deliver(upstream: HandOver, variant: Variant, log: Log): Promise<HandOverOutcome> {
  try {
    return await upstream.deliver(variant);
  } catch (error) {
    logDefect(log, error);
    return { kind: 'unreachable', reason: 'the hand-over failed' };
  }
}

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

function logDefect(log: Log, error: unknown): void {
  log.write({
    event: 'gateway.defect',
    level: 'error',
    where: 'pipeline/hand-over',
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
}

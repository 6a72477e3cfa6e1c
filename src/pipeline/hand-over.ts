import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { type Reply, reply, summary } from '../smtp/reply.ts';
import { type ArchiveCopies, type KeptCopies, NO_COPIES } from './archive-copies.ts';
import { DeliveryMemory } from './delivery-memory.ts';
import { heldReply, Individually, type Stop, stopReply } from './partial-hand-over.ts';
import type {
  DeliveredVariants,
  HandOver,
  HandOverOutcome,
  Submission,
  SubmissionOutcome,
  Variant,
} from './ports.ts';
import type { PreparedVariant } from './protect.ts';
import { ownReply, refusalOf } from './refusal.ts';
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
 * Holds: a 250 means every recipient's variant was accepted upstream, or is kept. After a partial hand-over the client gets 451 or 554
 * with the names; what was delivered is remembered until the rest is, so that the client's retry delivers only the rest.
 * Must never happen: a recipient that nobody accepted is covered by a 250; a recipient gets the mail twice because of us;
 * a reply that says nothing was sent when something was.
 *
 * As with any SMTP server, a client that does not hear our reply sends the whole mail again (RFC 5321 §6.1).
 *
 * Throws only what keeps the first variant from being handed over.
 */
export async function handOverAll(
  submission: Submission,
  { variants, waiting }: PreparedMessages,
  upstream: HandOver,
  parts: HandOverParts,
): Promise<HandedOver> {
  const { delivered, holding = null, log } = parts;
  const all = [...variants.flatMap(({ recipients }) => recipients), ...waiting.flatMap(whoWait)];
  const memory = new DeliveryMemory(submission, delivered, log);
  // One recipient is never delivered in part: the common case pays for no look-up.
  const earlier = all.length > 1 ? await memory.whoHasIt(all) : new Set<Recipient>();
  const rest = largestFirst(without(earlier, variants));
  const held = stillWaiting(earlier, waiting);
  const done: Recipient[] = all.filter((one) => earlier.has(one));
  const retry = { safe: true };
  const stopped = (
    stop: Stop,
    missing: readonly Recipient[],
    waits: readonly Recipient[] = [],
  ): HandedOver => {
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
  for (const [index, prepared] of rest.entries()) {
    const outcome = await handOver(prepared, submission, done.length === 0, upstream, parts);
    if (outcome.kind === 'each') {
      individually.add(outcome);
      const has = prepared.recipients.filter((one) => individually.accepted.has(one));
      done.push(...has);
      retry.safe = (await memory.remember(has)) && retry.safe;
      continue;
    }
    if (outcome.kind !== 'accepted') {
      const missing = rest.slice(index).flatMap(({ recipients }) => recipients);
      return stopped(outcome, [...individually.refused.keys(), ...missing, ...held.flatMap(whoWait)]);
    }
    last = outcome.reply;
    done.push(...prepared.recipients);
    const more = index + 1 < rest.length || held.length > 0;
    if (more) retry.safe = (await memory.remember(prepared.recipients)) && retry.safe;
  }
  if (held.length > 0) {
    const stop = await keep(held, done.length === 0, holding, log);
    if (stop !== null) return stopped(stop, [...individually.refused.keys(), ...held.flatMap(whoWait)]);
    if (individually.stop !== null) retry.safe = (await memory.remember(held.flatMap(whoWait))) && retry.safe;
  }
  if (individually.stop !== null) {
    return stopped(individually.stop, [...individually.refused.keys()], held.flatMap(whoWait));
  }
  if (rest.length + Math.min(held.length, 1) > 1 || earlier.size > 0) await memory.forget(all);
  const standing = { has: done, waits: held.flatMap(whoWait) };
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
  { archives = null, log }: HandOverParts,
): Promise<Stop | Extract<HandOverOutcome, { kind: 'accepted' | 'each' }>> {
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
  const { protection } = variant;
  const size = octets.length;
  log.write({
    event: 'mail.protected',
    level: 'info',
    ...{ mail, rule, recipients },
    ...protection,
    octets: size,
  });
  const outcome = await deliver(upstream, { ...variant, octets }, log);
  // Where nobody knows whether the mail left, a copy too many is better than none.
  await (hasNotLeft(outcome) ? copies.takenBack() : copies.left());
  await discard?.();
  const [first, ...others] = acceptedIn(outcome);
  if (first !== undefined) {
    const { listener } = origin;
    log.write({
      event: 'mail.handed-over',
      level: 'info',
      ...{ mail, listener, recipients: outcome.kind === 'each' ? 1 + others.length : recipients },
      reply: summary(first),
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
    ...{ id, login, archives: appendTo, octets: await collectFrom(octets) },
    requireTls: requireTls ? 'upstream' : 'no',
  });
}

/** For certain. */
function hasNotLeft(outcome: HandOverOutcome): boolean {
  if (outcome.kind === 'each') return outcome.outcomes.every((each) => hasNotLeft(each.outcome));
  return outcome.kind === 'rejected' || (outcome.kind === 'unreachable' && outcome.unsent === true);
}

function acceptedIn(outcome: HandOverOutcome): readonly Reply[] {
  if (outcome.kind === 'accepted') return [outcome.reply];
  if (outcome.kind !== 'each') return [];
  return outcome.outcomes.flatMap((each) => (each.outcome.kind === 'accepted' ? [each.outcome.reply] : []));
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

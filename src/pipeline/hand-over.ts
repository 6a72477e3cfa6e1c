import type { Log } from '../log/log.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { type Reply, summary } from '../smtp/reply.ts';
import { DeliveryMemory } from './delivery-memory.ts';
import { type Stop, stopReply } from './partial-hand-over.ts';
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

/**
 * Hands the variants of one mail over, one after another, and answers for the whole.
 *
 * Holds: a 250 means every recipient's variant was accepted upstream. After a partial hand-over the client gets 451 or 554
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
  variants: readonly PreparedVariant[],
  upstream: HandOver,
  { delivered, log }: { delivered: DeliveredVariants; log: Log },
): Promise<SubmissionOutcome> {
  const all = variants.flatMap(({ recipients }) => recipients);
  const memory = new DeliveryMemory(submission, delivered, log);
  // One recipient is never delivered in part: the common case pays for no look-up.
  const earlier = all.length > 1 ? await memory.whoHasIt(all) : new Set<Recipient>();
  const rest = largestFirst(without(earlier, variants));
  const done: Recipient[] = all.filter((one) => earlier.has(one));
  const retry = { safe: true };
  let last: Reply | null = null;
  for (const [index, prepared] of rest.entries()) {
    const outcome = await handOver(prepared, submission, done.length === 0, upstream, log);
    if (outcome.kind !== 'accepted') {
      const missing = rest.slice(index).flatMap(({ recipients }) => recipients);
      const reply = stopReply(outcome, { done, missing, retryIsSafe: retry.safe }, submission.id);
      log.write({
        event: 'mail.refused',
        level: 'warn',
        mail: submission.id,
        code: `upstream.${outcome.kind}`,
        reason: outcome.kind === 'unreachable' ? `${summary(reply)} (${outcome.reason})` : summary(reply),
      });
      return { kind: 'refused', reply };
    }
    last = outcome.reply;
    done.push(...prepared.recipients);
    const more = index + 1 < rest.length;
    if (more) retry.safe = (await memory.remember(prepared.recipients)) && retry.safe;
  }
  if (rest.length > 1 || earlier.size > 0) await memory.forget(all);
  const reply = last ?? ownReply(250, '2.0.0', 'Every recipient already has this message', submission.id);
  return { kind: 'accepted', reply };
}

/** One variant. While nobody has anything a failure to make it is thrown; after that it is a reason to stop. */
async function handOver(
  { make, rule, ...variant }: PreparedVariant,
  { id: mail, origin }: Submission,
  isFirst: boolean,
  upstream: HandOver,
  log: Log,
): Promise<Stop | Extract<HandOverOutcome, { kind: 'accepted' }>> {
  let octets: Buffer;
  try {
    octets = await make();
  } catch (error) {
    if (isFirst) throw error;
    logDefect(log, error);
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
  if (outcome.kind === 'accepted') {
    const { listener } = origin;
    log.write({
      event: 'mail.handed-over',
      level: 'info',
      ...{ mail, listener, recipients },
      reply: summary(outcome.reply),
    });
  }
  return outcome;
}

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
  const rank = ({ protection, recipients }: PreparedVariant): number =>
    (protection.encrypted ? 1_000_000 : 0) + recipients.length;
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

import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { type Reply, summary } from '../smtp/reply.ts';
import { toldRecipients } from '../smtp/told-recipients.ts';
import { type ArchiveCopies, type KeptCopies, NO_COPIES } from './archive-copies.ts';
import type { Stop } from './partial-hand-over.ts';
import type { PendingCopies } from './pending-copies.ts';
import type { HandOver, HandOverOutcome, Submission, Variant } from './ports.ts';
import type { PreparedVariant } from './protect.ts';
import { refusalOf } from './refusal.ts';
import type { TheRest } from './the-rest.ts';
import { broken } from './variant-algorithms.ts';

export type VariantParts = {
  /** Where copies go; null or absent: nowhere. */
  archives?: ArchiveCopies | null;
  /** Takes what the upstream does not. */
  rest: TheRest;
  pending: PendingCopies;
  log: Log;
};

/** One variant. While nobody has anything a failure to make it is thrown; after that it is a reason to stop. */
export async function handOverVariant(
  { make, discard, rule, appendTo, ...variant }: PreparedVariant,
  submission: Submission,
  isFirst: boolean,
  upstream: HandOver,
  { archives = null, rest, pending, log }: VariantParts,
): Promise<Stop | Extract<HandOverOutcome, { kind: 'accepted' | 'each' }> | { kind: 'kept' }> {
  const { id: mail, origin } = submission;
  let leaving: Variant;
  let copies: KeptCopies;
  try {
    leaving = { ...variant, octets: underTrace(submission, await make()) };
    copies = await keepCopies(leaving, appendTo, submission, archives);
  } catch (error) {
    if (isFirst) throw error;
    if (!(error instanceof SealgateError)) logDefect(log, error);
    return { kind: 'failed', refusal: refusalOf(error) };
  }
  const { recipients, protection, opened, octets } = leaving;
  log.write({
    event: 'mail.protected',
    level: 'info',
    ...{ mail, rule, to: told(recipients), recipients: recipients.length },
    ...protection,
    ...(opened === true ? { opened: true as const } : {}),
    octets: octets.length,
  });
  const outcome = await deliver(upstream, leaving, log);
  const kept = isFirst ? 'not' : await rest.take(leaving, outcome);
  // Where nobody knows whether the mail left, a copy too many is better than none.
  const isPending =
    kept === 'kept' ? hasNotLeft(outcome) : upstream.commit !== undefined && outcome.kind === 'accepted';
  if (isPending) pending.add(copies);
  else await (hasNotLeft(outcome) ? copies.takenBack() : copies.left());
  await discard?.();
  if (kept !== 'not') return { kind: 'kept' };
  const taken = acceptedIn(outcome, recipients);
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
  { requireTls, octets }: Variant,
  appendTo: readonly string[],
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

/** HandOver throws nothing; if it does all the same, nobody knows whether the upstream has the message. */
async function deliver(upstream: HandOver, variant: Variant, log: Log): Promise<HandOverOutcome> {
  try {
    return await upstream.deliver(variant);
  } catch (error) {
    logDefect(log, error);
    return { kind: 'unreachable', reason: 'the hand-over failed' };
  }
}

export function logDefect(log: Log, error: unknown): void {
  log.write({
    event: 'gateway.defect',
    level: 'error',
    where: 'pipeline/hand-over',
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
}

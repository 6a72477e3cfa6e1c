import { createHash } from 'node:crypto';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Recipient } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';
import { type HandOverParts, handOverAll } from './hand-over.ts';
import { type DeliveryView, OpeningForDelivery, type OpeningParts, type Result } from './opened-for.ts';
import type { HandOver, OutboundStory, Principal, Submission, SubmissionOutcome } from './ports.ts';
import type { PreparedVariant } from './protect.ts';
import { addressOf, distinct } from './recipient-certificates.ts';
import { refusalOf, refusalReply } from './refusal.ts';

export type { DeliveryView };

export type InboundDeliveryParts = OpeningParts &
  HandOverParts & {
    /** Those with keys that open mail whose address it is. */
    readersOf(address: string): readonly Principal[];
    /** Whether the client takes a reply for each recipient after the end of data (LMTP). */
    replyToEach: boolean;
    /** Absent: `limits.relay.openedOctets`. */
    openedOctets?: number;
  };

/**
 * The way in, at delivery: for each recipient recognise -> decrypt with its own keys -> verify -> judge -> harvest -> annotate -> hand over.
 *
 * Holds: who has no key for a message gets it as it came; recipients with the same outcome share a message; a client's end of data is
 * answered with a 250 only when the mail server has the mail for all of them, by LMTP for each of them.
 * Must never happen: plaintext for a recipient whose keys do not open the mail; a mail that is lost because it could not be opened.
 */
export function inboundDelivery(parts: InboundDeliveryParts): OutboundStory {
  return {
    judgeRecipient: () => null,
    expectRecipient: () => undefined,
    async submit(submission, upstream) {
      const opening = new OpeningForDelivery(submission, parts);
      try {
        const variants = await variantsOf(submission, opening, parts);
        return await (parts.replyToEach ? eachAnswered : allAnswered)(submission, variants, upstream, parts);
      } catch (error) {
        return refused(submission, error, parts);
      } finally {
        await opening.discard();
      }
    },
  };
}

type Group = {
  result: Result;
  recipients: Recipient[];
  /** Of its octets; null: not asked for yet. One alone is like no other, and need not be read for that. */
  name: string | null;
};

/**
 * One message for all who get the same octets: two keys may open two texts in one mail, so that it counts what came out. Of what is the same
 * only one is kept, and of what differs no more than `limits.relay.openedOctets`: a mail may have a thousand recipients.
 */
async function variantsOf(
  { envelope }: Submission,
  opening: OpeningForDelivery,
  { readersOf, openedOctets = limits.relay.openedOctets }: InboundDeliveryParts,
): Promise<readonly PreparedVariant[]> {
  const groups: Group[] = [];
  const byResult = new Map<Result, Group>();
  let kept = 0;
  for (const recipient of distinct(envelope.recipients)) {
    const readers = readersOf(addressOf(recipient));
    const result: Result =
      kept > openedOctets ? { kind: 'waits', why: tooMuch() } : await opening.for(readers);
    let group = byResult.get(result) ?? null;
    if (group === null) {
      group = await alike(result, groups);
      if (group === null) {
        group = { result, recipients: [], name: null };
        groups.push(group);
        if (result.kind === 'message' && result.mail.opened) kept += result.mail.octets.length;
      } else await opening.forget(result);
      byResult.set(result, group);
    }
    group.recipients.push(recipient);
  }
  return groups.map(({ recipients, result }) => prepared(recipients, result));
}

async function alike(result: Result, groups: readonly Group[]): Promise<Group | null> {
  if (groups.length === 0) return null;
  const name = await nameOf(result);
  for (const group of groups) {
    group.name ??= await nameOf(group.result);
    if (group.name === name) return group;
  }
  return null;
}

function tooMuch(): SealgateError {
  return new SealgateError({
    code: 'relay.too-much-opened',
    duration: 'temporary',
    publicText:
      'The mail is too large to be opened for so many at once; send it again for those who have not got it.',
  });
}

async function nameOf(result: Result): Promise<string> {
  if (result.kind === 'waits') return `waits ${result.why.publicText}`;
  const hash = createHash('sha256');
  for await (const chunk of result.mail.octets.read()) hash.update(chunk);
  return hash.digest('hex');
}

function prepared(recipients: readonly Recipient[], result: Result): PreparedVariant {
  return {
    ...{ recipients, rule: null, requireTls: false, appendTo: [] },
    protection: { signed: false, encrypted: false },
    ...(result.kind === 'waits' ? { deferred: true as const } : {}),
    ...(result.kind === 'message' && result.mail.opened ? { opened: true as const } : {}),
    make: async (): Promise<OctetSource> => {
      if (result.kind === 'waits') throw result.why;
      return result.mail.octets;
    },
  };
}

async function allAnswered(
  submission: Submission,
  variants: readonly PreparedVariant[],
  upstream: HandOver,
  parts: InboundDeliveryParts,
): Promise<SubmissionOutcome> {
  const prepared = { variants, waiting: [] };
  const { kind, reply, each } = await handOverAll(submission, prepared, upstream, parts);
  return each === undefined ? { kind, reply } : { kind, reply, each };
}

/** RFC 2033 §4.2: what becomes of one has nothing to do with the others, so that nothing is handed over together. */
async function eachAnswered(
  submission: Submission,
  variants: readonly PreparedVariant[],
  upstream: HandOver,
  parts: InboundDeliveryParts,
): Promise<SubmissionOutcome> {
  const replies = new Map<string, Reply>();
  let last: SubmissionOutcome | null = null;
  for (const variant of variants) {
    const outcome = await allAnswered(submission, [variant], upstream, parts).catch((error: unknown) =>
      refused(submission, error, parts),
    );
    if (last === null || outcome.kind === 'refused') last = outcome;
    for (const recipient of variant.recipients) {
      replies.set(addressOf(recipient), outcome.each?.get(recipient) ?? outcome.reply);
    }
  }
  const { kind, reply } = last ?? refused(submission, new Error('a mail without recipients'), parts);
  const each = new Map(
    submission.envelope.recipients.map((recipient) => [
      recipient,
      replies.get(addressOf(recipient)) ?? reply,
    ]),
  );
  return { kind, reply, each };
}

function refused({ id: mail }: Submission, error: unknown, { log }: InboundDeliveryParts): SubmissionOutcome {
  const refusal = refusalOf(error);
  const reason = error instanceof Error ? error.message : String(error);
  if (!(error instanceof SealgateError)) {
    const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.write({ event: 'gateway.defect', level: 'error', where: 'pipeline/inbound-delivery', error: trace });
  }
  log.write({ event: 'mail.refused', level: 'warn', mail, code: refusal.code, reason });
  return { kind: 'refused', reply: refusalReply(refusal, mail) };
}

import { SealgateError } from '../errors.ts';
import { explain, type RecipientExplanation } from '../policy/explain.ts';
import type { UpstreamFacts } from '../policy/facts.ts';
import type { Reply } from '../smtp/reply.ts';
import { type ArchiveCopies, archivesOf } from './archive-copies.ts';
import { judgeSubmission } from './judge-submission.ts';
import { type OutboundParts, outboundLookups, policyOf } from './outbound.ts';
import { heldReply } from './partial-hand-over.ts';
import type { KnownCertificate, Submission } from './ports.ts';
import { at, planMessages } from './protect.ts';
import { addressOf, distinct, type RecipientCertificates } from './recipient-certificates.ts';
import { MailRefused, refusalOf, refusalReply } from './refusal.ts';
import { judgeRecipient } from './refuse-recipient.ts';
import {
  type ExplainedVariant,
  type ExplainedWaiting,
  explainVariant,
  explainWaiting,
} from './variant-algorithms.ts';

/**
 * "What would happen to this mail, and why", by the code that would do it: the story as far as no key is used and nothing leaves.
 * This is the shape of `policy explain --json`, which programs read (docs/policy.md): fields may come, none goes.
 */
export type ExplainedSubmission = {
  from: string | null;
  login: string;
  listener: string;
  /** What the mail program has done itself; null: the mail could not be read. */
  protection: 'none' | 'signed' | 'encrypted' | null;
  recipients: readonly ExplainedRecipient[];
  /** The messages that would leave, each for those who share it. */
  messages: readonly ExplainedVariant[];
  /** What would be kept until its recipients have certificates. */
  waiting: readonly ExplainedWaiting[];
  /** At the end of data; null: the mail server's own reply. */
  reply: ExplainedReply | null;
};

export type ExplainedRecipient = Omit<RecipientExplanation, 'certificates'> & {
  certificates: {
    /** What is known, in words. */
    summary: string;
    known: readonly ExplainedCertificate[];
  };
  /** At RCPT TO; null: the mail server's own reply. */
  reply: ExplainedReply | null;
};

export type ExplainedCertificate = {
  fingerprint: string;
  subject: string;
  issuer: string;
  /** ISO 8601. */
  notAfter: string;
  trust: KnownCertificate['trust'];
  source: KnownCertificate['source'];
  /** Names of the configured sources that have it now. */
  sources: readonly string[];
  /** Why it is trusted so much, a clause. */
  because: string;
  /** What a rule with `revocation: hard` has against it; null: nothing. */
  doubt: string | null;
};

export type ExplainedReply = { code: number; text: string };

/** Uses no key, hands nothing over. @param upstream the way on, as far as it is known. @param archives null: none is configured */
export async function explainSubmission(
  submission: Submission,
  upstream: UpstreamFacts,
  parts: OutboundParts,
  archives: Pick<ArchiveCopies, 'check'> | null = null,
): Promise<ExplainedSubmission> {
  const { id, origin, envelope } = submission;
  const policy = policyOf(parts);
  const lookups = outboundLookups(parts);
  const recipients = distinct(envelope.recipients);
  const early = await Promise.all(
    recipients.map((one) => judgeRecipient(origin, one, lookups, policy, parts.clock)),
  );
  const base = { from: null, login: origin.principal.login, listener: origin.listener, protection: null };
  const refused = (error: unknown) => replyText(refusalReply(refusalOf(error), id));
  try {
    const { facts, decision, findings } = await judgeSubmission(submission, policy, upstream, lookups, parts);
    const found = { ...base, from: facts.from, protection: facts.protection };
    const explained = explain(facts, policy.rules).recipients.map((one, index) => ({
      ...one,
      certificates: {
        summary: one.certificates,
        known: knownCertificates(findings.certificates[index]),
      },
      reply: optionalReply(early[index]),
    }));
    // Where the sender alone decides, what was said at RCPT TO is all that there is to say of a recipient.
    const told = explained.length > 0 ? explained : recipients.map((one, index) => untold(one, early[index]));
    if (decision.kind === 'refuse') {
      const { duration, enhancedCode, publicText } = decision;
      const refusal = new MailRefused({ code: 'policy.refused', duration, enhancedCode, publicText });
      return { ...found, recipients: told, ...NOTHING, reply: refused(refusal) };
    }
    try {
      archives?.check(origin.principal.login, archivesOf(decision));
      const addresses = recipients.map(addressOf);
      if (decision.kind !== 'deliver') return { ...found, recipients: told, ...NOTHING, reply: null };
      const planned = await planMessages(decision, findings, parts.keyring);
      const messages = planned.variants.map(({ variant, algorithms }) =>
        explainVariant(variant, algorithms, addresses),
      );
      const waiting = planned.held.map((one) => explainWaiting(one, planned.algorithms, addresses));
      const kept = planned.held.flatMap((one) => one.recipients.map(({ index }) => at(recipients, index)));
      const asks = planned.held.some(({ terms }) => terms.ask);
      const reply = messages.length === 0 ? replyText(heldReply(kept, asks, id)) : null;
      return { ...found, recipients: told, messages, waiting, reply };
    } catch (error) {
      return { ...found, recipients: told, ...NOTHING, reply: refused(foreseen(error)) };
    }
  } catch (error) {
    const told = recipients.map((one, index) => untold(one, early[index]));
    return { ...base, recipients: told, ...NOTHING, reply: refused(foreseen(error)) };
  }
}

const NOTHING = { messages: [], waiting: [] } as const;

function foreseen(error: unknown): SealgateError | MailRefused {
  if (error instanceof SealgateError || error instanceof MailRefused) return error;
  throw error;
}

function untold(
  recipient: Parameters<typeof addressOf>[0],
  reply: Reply | null | undefined,
): ExplainedRecipient {
  return {
    address: addressOf(recipient),
    rules: [],
    rule: null,
    steering: null,
    outcome: null,
    ...{ notify: [], appendTo: null },
    certificates: { summary: 'not asked for', known: [] },
    reply: optionalReply(reply),
  };
}

function knownCertificates(found: RecipientCertificates | undefined): ExplainedCertificate[] {
  if (found?.kind !== 'usable') return [];
  return found.certificates.map((known) => {
    const { certificate, trust, source, sources = [], doubt } = known;
    return {
      fingerprint: certificate.fingerprint,
      subject: certificate.subject.text,
      issuer: certificate.issuer.text,
      notAfter: certificate.notAfter.toISOString(),
      ...{ trust, source, sources, because: reasonOf(known), doubt: doubt?.because ?? null },
    };
  });
}

const REASONS: Readonly<Record<KnownCertificate['trust'], string>> = {
  pinned: 'an administrator vouches for it',
  verified: 'it leads to a trust anchor',
  directory: 'a directory that the administrator configured has it',
  harvested: 'it came with a good signature, and leads to no trust anchor',
};

function reasonOf({ trust, source, sources = [], decision }: KnownCertificate): string {
  if (decision !== undefined) return `${decision.by} has said so: ${decision.reason}`;
  if (trust !== 'verified') return REASONS[trust];
  // What it was that verified it is not kept.
  if (source === 'smimea') return `DNSSEC vouches for it, or ${REASONS.verified}`;
  const ofOthers = sources.length > (source === 'mail' || source === 'import' ? 0 : 1);
  return ofOthers ? `${REASONS.verified}, or a source that has it vouches for it` : REASONS.verified;
}

function optionalReply(reply: Reply | null | undefined): ExplainedReply | null {
  return reply === null || reply === undefined ? null : replyText(reply);
}

function replyText({ code, lines }: Reply): ExplainedReply {
  return { code, text: lines.join(' ') };
}

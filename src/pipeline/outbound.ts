import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import type { Spool } from '../octets/source.ts';
import type { OutboundDecision } from '../policy/decide-outbound.ts';
import type { Group, Rule } from '../policy/rules.ts';
import { cautiousAlgorithms } from '../smime/algorithm-choice.ts';
import { HeldSpools } from '../smime/held-spools.ts';
import { type ArchiveCopies, archivesOf } from './archive-copies.ts';
import { withoutBlindCopies } from './blind-copies.ts';
import { type HandedOver, handOverAll, type PreparedMessages } from './hand-over.ts';
import { type JudgedSubmission, type JudgingParts, judgeSubmission } from './judge-submission.ts';
import { decidedMail, type Notices } from './notices.ts';
import { expectGroups, needsCertificates, type OutboundPolicy } from './outbound-policy.ts';
import { type OutgoingMessage, sourceOf } from './outgoing-message.ts';
import type {
  CertificateDirectory,
  DecisionRecords,
  DeliveredVariants,
  HandOver,
  Keyring,
  Memberships,
  OutboundStory,
  StoreAndForward,
  Submission,
  SubmissionOutcome,
} from './ports.ts';
import { prepareWaiting } from './prepare-waiting.ts';
import { type Findings, planMessages, prepareVariants } from './protect.ts';
import { addressOf, type IsNeeded, RecipientLookups } from './recipient-certificates.ts';
import { recordDecision } from './recorded-decisions.ts';
import { MailRefused, refusalOf, refusalReply } from './refusal.ts';
import { judgeRecipient } from './refuse-recipient.ts';
import { SignedForms } from './signed-forms.ts';
import { broken } from './variant-algorithms.ts';
import type { Holding } from './waiting.ts';

export type OutboundParts = JudgingParts & {
  directory: CertificateDirectory;
  delivered: DeliveredVariants;
  /** Asked for anew with each recipient and each mail: rules may be replaced while the gateway runs. */
  rules: readonly Rule[];
  /** Absent: none. */
  groups?: readonly Group[];
  /** Who is asked about groups that are kept elsewhere; null or absent: nobody. */
  memberships?: Memberships | null;
  /** Where mail waits; null or absent: no rule may ask for it. */
  holding?: Holding | null;
  /** Where copies go; null or absent: no rule may ask for it. */
  archives?: ArchiveCopies | null;
  /** Takes what the mail server does not, once it has taken a part; null or absent: the client sends again. */
  storeAndForward?: StoreAndForward | null;
  /** Who tells of decisions; null or absent: no rule may ask for it. */
  notices?: Notices | null;
  /** Absent: decisions are not recorded. */
  decisions?: DecisionRecords;
  /** Where long messages are encrypted; encrypted files in the system's folder for temporary ones when absent. */
  spool?: Spool;
  log: Log;
};

/**
 * The way out: find certificates -> assess -> decide -> sign -> encrypt -> hand over.
 *
 * Holds: the client's end of data is answered with a 250 only when every recipient's variant was accepted upstream, or waits durably for
 * that recipient's certificate.
 * Must never happen: a mail that leaves less protected than its rule says; a key used for another login's address; a
 * header that tells who got a blind copy.
 */
export function outboundStory(parts: OutboundParts): OutboundStory {
  const { spool = encryptedSpool() } = parts;
  const lookups = outboundLookups(parts);
  return {
    judgeRecipient: (origin, recipient) =>
      judgeRecipient(origin, recipient, lookups, policyOf(parts), parts.clock),
    expectRecipient(origin, recipient) {
      lookups.expect(origin, recipient);
      expectGroups(origin, addressOf(recipient), policyOf(parts));
    },
    async submit(submission: Submission, upstream: HandOver): Promise<SubmissionOutcome> {
      const policy = policyOf(parts);
      let judged: JudgedSubmission;
      try {
        judged = await judgeSubmission(submission, policy, upstream.upstream, lookups, parts);
        if (parts.decisions !== undefined) {
          recordDecision(submission, judged, policy, parts.decisions, parts.log);
        }
      } catch (error) {
        return refused(submission, error, parts.log);
      }
      const handed = await handedOver(submission, judged, upstream, parts, spool);
      await tellNotices(submission, judged, policy, handed, parts);
      const { kind, reply, each } = handed;
      return each === undefined ? { kind, reply } : { kind, reply, each };
    },
  };
}

/** As the story has them: one for all of its sessions. */
export function outboundLookups(parts: OutboundParts): RecipientLookups {
  const { directory, log, algorithms = cautiousAlgorithms, revocation } = parts;
  const isNeeded: IsNeeded = (origin, address) => needsCertificates(origin, address, policyOf(parts));
  return new RecipientLookups(directory, log, isNeeded, {
    postQuantum: algorithms.postQuantum,
    ...(revocation === undefined ? {} : { revocation }),
  });
}

/** The rules as they are now. */
export function policyOf({
  rules,
  groups = [],
  memberships = null,
  revocation,
}: OutboundParts): OutboundPolicy {
  return { rules, groups, memberships, revocation: revocation?.failure ?? 'soft' };
}

async function handedOver(
  submission: Submission,
  { decision, message, findings }: JudgedSubmission,
  upstream: HandOver,
  parts: OutboundParts,
  room: Spool,
): Promise<HandedOver> {
  const spool = new HeldSpools(room);
  try {
    // What could never be stored must not be found out when a part has left.
    parts.archives?.check(submission.origin.principal.login, archivesOf(decision));
    const visible = withoutBlindCopies(message);
    const messages = await carryOut(submission, decision, visible, findings, parts.keyring, spool);
    return await handOverAll(submission, messages, upstream, parts);
  } catch (error) {
    return { ...refused(submission, error, parts.log), has: [], waits: [] };
  } finally {
    if (message.kind === 'in-source') {
      await spool.discard().catch((error: unknown) => logDefect(parts.log, error));
    }
  }
}

/** The mail has gone its way, whatever becomes of what is told of it. */
async function tellNotices(
  submission: Submission,
  judged: JudgedSubmission,
  policy: OutboundPolicy,
  handed: HandedOver,
  { notices = null, log }: OutboundParts,
): Promise<void> {
  try {
    const decided = decidedMail(submission, judged, policy, handed);
    if (decided === null) return;
    if (notices === null) throw broken('decided to tell somebody without a way to');
    await notices.tell(decided);
  } catch (error) {
    logDefect(log, error);
  }
}

/** Nothing was handed over. */
function refused({ id: mail }: Submission, error: unknown, log: Log): SubmissionOutcome {
  const refusal = refusalOf(error);
  if (!(error instanceof SealgateError || error instanceof MailRefused)) logDefect(log, error);
  const reason = error instanceof Error ? error.message : String(error);
  log.write({ event: 'mail.refused', level: 'warn', mail, code: refusal.code, reason });
  return { kind: 'refused', reply: refusalReply(refusal, mail) };
}

function logDefect(log: Log, error: unknown): void {
  const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.write({ event: 'gateway.defect', level: 'error', where: 'pipeline/outbound', error: trace });
}

async function carryOut(
  submission: Submission,
  decision: OutboundDecision,
  message: OutgoingMessage,
  findings: Findings,
  keyring: Keyring,
  spool: Spool,
): Promise<PreparedMessages> {
  switch (decision.kind) {
    case 'refuse': {
      const { duration, enhancedCode, publicText } = decision;
      throw new MailRefused({ code: 'policy.refused', duration, enhancedCode, publicText });
    }
    case 'forward-unchanged': {
      const { recipients } = findings;
      const protection = { signed: false, encrypted: false };
      const { rule, requireTls, appendTo } = decision;
      const make = async () => sourceOf(message);
      return { variants: [{ recipients, protection, rule, requireTls, appendTo, make }], waiting: [] };
    }
    case 'deliver': {
      const planned = await planMessages(decision, findings, keyring);
      const forms = new SignedForms(message, findings, planned.algorithms.own);
      const variants = await prepareVariants(planned.variants, forms, findings, spool);
      return { variants, waiting: await prepareWaiting(submission, planned, forms, findings) };
    }
  }
}

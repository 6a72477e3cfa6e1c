import type { Log } from '../log/log.ts';
import { readMessage } from '../mail/entity-tree.ts';
import { decideOutbound, type OutboundDecision } from '../policy/decide-outbound.ts';
import type { Rule } from '../policy/rules.ts';
import { clientProtection } from './client-protection.ts';
import { handOverAll } from './hand-over.ts';
import type {
  CertificateDirectory,
  Clock,
  DeliveredVariants,
  HandOver,
  Keyring,
  OutboundStory,
  Submission,
  SubmissionOutcome,
  Variant,
} from './ports.ts';
import { protectVariants } from './protect.ts';
import { addressOf, RecipientLookups } from './recipient-certificates.ts';
import { MailRefused, refusalOf, refusalReply } from './refusal.ts';
import { senderOf } from './sender.ts';
import { findSigningKey } from './signing-keys.ts';
import { visibleRecipients } from './visible-recipients.ts';

export type OutboundParts = {
  keyring: Keyring;
  directory: CertificateDirectory;
  delivered: DeliveredVariants;
  rules: readonly Rule[];
  clock: Clock;
  log: Log;
};

/**
 * The way out: find certificates -> assess -> decide -> sign -> encrypt -> hand over.
 *
 * Holds: the client's end of data is answered with a 250 only when every recipient's variant was accepted upstream.
 * Must never happen: a mail that leaves less protected than its rule says; a key used for another login's address.
 */
export function outboundStory(parts: OutboundParts): OutboundStory {
  const lookups = new RecipientLookups(parts.directory);
  return {
    expectRecipient: (origin, recipient) => lookups.expect(origin, recipient),
    async submit(submission: Submission, upstream: HandOver): Promise<SubmissionOutcome> {
      try {
        const variants = await decideAndProtect(submission, lookups, parts);
        return await handOverAll(submission, variants, upstream, parts.delivered);
      } catch (error) {
        const refusal = refusalOf(error);
        const { code, publicText } = refusal;
        const reason = code === 'gateway.defect' ? String(error) : publicText;
        parts.log.write({ event: 'mail.refused', level: 'warn', mail: submission.id, code, reason });
        return { kind: 'refused', reply: refusalReply(refusal) };
      }
    },
  };
}

async function decideAndProtect(
  submission: Submission,
  lookups: RecipientLookups,
  parts: OutboundParts,
): Promise<Variant[]> {
  const { origin, envelope, octets } = submission;
  const at = parts.clock();
  const message = readMessage(octets);
  const { from, sender } = senderOf(message.root.fields);
  const [certificates, signing] = await Promise.all([
    lookups.settle(origin, envelope.recipients, at),
    findSigningKey(parts.keyring, origin.principal, from, submission.id),
  ]);
  const shown = visibleRecipients(message.root.fields);
  const decision = decideOutbound(
    {
      principal: origin.principal,
      from,
      sender,
      belongs: parts.keyring.addressesOf(origin.principal),
      protection: clientProtection(message),
      signing: signing.facts,
      recipients: envelope.recipients.map((recipient, index) => ({
        address: addressOf(recipient),
        visible: shown.has(addressOf(recipient)),
        certificates: certificates[index] ?? { kind: 'lookup-failed' },
      })),
    },
    parts.rules,
  );
  const variants = await carryOut(
    decision,
    submission,
    { mail: submission.id, certificates, signingKey: signing.key, from, at },
    parts,
  );
  for (const variant of variants) logProtected(submission, decision, variant, parts.log);
  return variants;
}

type Findings = Omit<Parameters<typeof protectVariants>[1], 'principal' | 'recipients'>;

async function carryOut(
  decision: OutboundDecision,
  { envelope, octets, origin }: Submission,
  findings: Findings,
  parts: OutboundParts,
): Promise<Variant[]> {
  switch (decision.kind) {
    case 'refuse': {
      const { duration, enhancedCode, publicText } = decision;
      throw new MailRefused({ code: 'policy.refused', duration, enhancedCode, publicText });
    }
    case 'forward-unchanged':
      return [{ recipients: envelope.recipients, octets, protection: { signed: false, encrypted: false } }];
    case 'deliver': {
      const known = { ...findings, principal: origin.principal, recipients: envelope.recipients };
      return protectVariants({ octets, variants: decision.variants }, known, parts.keyring);
    }
  }
}

function logProtected(submission: Submission, decision: OutboundDecision, variant: Variant, log: Log): void {
  const rule =
    decision.kind === 'deliver' ? [...new Set(decision.variants.map((one) => one.rule))].join(', ') : '';
  log.write({
    event: 'mail.protected',
    level: 'info',
    mail: submission.id,
    rule: decision.kind === 'forward-unchanged' ? decision.rule : rule,
    recipients: variant.recipients.length,
    ...variant.protection,
    octets: variant.octets.length,
  });
}

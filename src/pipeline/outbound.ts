import type { SigningKey } from '../cms/keys.ts';
import type { Log } from '../log/log.ts';
import { readMessage } from '../mail/entity-tree.ts';
import type { Message } from '../mail/message.ts';
import { type OutboundDecision, decideOutbound } from '../policy/decide-outbound.ts';
import type { Rule } from '../policy/rules.ts';
import { recognise } from '../smime/recognise.ts';
import type { Recipient } from '../smtp/envelope.ts';
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
import { RecipientLookups } from './recipient-certificates.ts';
import { refusalOf, refusalReply } from './refusal.ts';
import { provenSender } from './sender.ts';

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
 * Holds: the answer to the end of data is given when every recipient's variant has been accepted upstream.
 * Must never happen: a mail that leaves less protected than its rule says; a key used for another login's address.
 */
export function outboundStory(parts: OutboundParts): OutboundStory {
  const lookups = new RecipientLookups(parts.directory);
  return {
    expectRecipient: (origin, recipient) => lookups.expect(origin, recipient),
    async submit(submission: Submission, upstream: HandOver): Promise<SubmissionOutcome> {
      try {
        const variants = await protect(submission, lookups, parts);
        return await handOverAll(submission, variants, upstream, parts.delivered);
      } catch (error) {
        const refusal = refusalOf(error);
        const reason = refusal.code === 'gateway.defect' ? String(error) : refusal.publicText;
        parts.log.write({
          event: 'mail.refused',
          level: 'warn',
          mail: submission.id,
          code: refusal.code,
          reason,
        });
        return { kind: 'refused', reply: refusalReply(refusal) };
      }
    },
  };
}

import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import { readMessage } from '../mail/entity-tree.ts';
import type { Message } from '../mail/message.ts';
import { decideOutbound, type OutboundDecision } from '../policy/decide-outbound.ts';
import { mayEncrypt } from '../policy/may-encrypt.ts';
import type { Rule } from '../policy/rules.ts';
import { type AlgorithmSettings, cautiousAlgorithms } from '../smime/algorithm-choice.ts';
import { type AddressAlgorithms, algorithmsFor } from './address-algorithms.ts';
import { withoutBlindCopies } from './blind-copies.ts';
import { clientProtection } from './client-protection.ts';
import { handOverAll } from './hand-over.ts';
import type {
  CertificateDirectory,
  Clock,
  DeliveredVariants,
  HandOver,
  Keyring,
  OutboundStory,
  RevocationUse,
  Submission,
  SubmissionOutcome,
} from './ports.ts';
import { type Findings, type PreparedVariant, prepareVariants } from './protect.ts';
import { addressOf, distinct, RecipientLookups } from './recipient-certificates.ts';
import { MailRefused, refusalOf, refusalReply } from './refusal.ts';
import { judgeRecipient } from './refuse-recipient.ts';
import { senderOf } from './sender.ts';
import { findSigningKey } from './signing-keys.ts';
import { visibleRecipients } from './visible-recipients.ts';

export type OutboundParts = {
  keyring: Keyring;
  directory: CertificateDirectory;
  delivered: DeliveredVariants;
  rules: readonly Rule[];
  /** Cautious ones when absent. */
  algorithms?: AlgorithmSettings;
  /** What is pinned for single addresses; absent: nothing. */
  addressAlgorithms?: readonly AddressAlgorithms[];
  /** Absent: revocation is not looked at. */
  revocation?: RevocationUse;
  clock: Clock;
  log: Log;
};

/**
 * The way out: find certificates -> assess -> decide -> sign -> encrypt -> hand over.
 *
 * Holds: the client's end of data is answered with a 250 only when every recipient's variant was accepted upstream.
 * Must never happen: a mail that leaves less protected than its rule says; a key used for another login's address; a
 * header that tells who got a blind copy.
 */
export function outboundStory(parts: OutboundParts): OutboundStory {
  const { directory, log, rules, algorithms = cautiousAlgorithms, revocation } = parts;
  const isNeeded = (login: string, address: string) => mayEncrypt(login, address, rules);
  const lookups = new RecipientLookups(directory, log, isNeeded, {
    postQuantum: algorithms.postQuantum,
    ...(revocation === undefined ? {} : { revocation }),
  });
  return {
    judgeRecipient: (origin, recipient) => judgeRecipient(origin, recipient, lookups, parts),
    expectRecipient: (origin, recipient) => lookups.expect(origin, recipient),
    async submit(submission: Submission, upstream: HandOver): Promise<SubmissionOutcome> {
      try {
        const variants = await decideAndPrepare(submission, lookups, parts);
        return await handOverAll(submission, variants, upstream, parts);
      } catch (error) {
        return refused(submission, error, parts.log);
      }
    },
  };
}

/** Nothing was handed over. */
function refused({ id: mail }: Submission, error: unknown, log: Log): SubmissionOutcome {
  const refusal = refusalOf(error);
  if (!(error instanceof SealgateError || error instanceof MailRefused)) {
    const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.write({ event: 'gateway.defect', level: 'error', where: 'pipeline/outbound', error: trace });
  }
  const reason = error instanceof Error ? error.message : String(error);
  log.write({ event: 'mail.refused', level: 'warn', mail, code: refusal.code, reason });
  return { kind: 'refused', reply: refusalReply(refusal, mail) };
}

async function decideAndPrepare(
  { id: mail, origin, envelope, octets }: Submission,
  lookups: RecipientLookups,
  parts: OutboundParts,
): Promise<PreparedVariant[]> {
  const { principal } = origin;
  const at = parts.clock();
  const recipients = distinct(envelope.recipients);
  const message = readMessage(octets);
  const { from, sender } = senderOf(message.root.fields);
  const [certificates, signing] = await Promise.all([
    lookups.settle(origin, recipients, at),
    findSigningKey(parts.keyring, principal, from, mail, parts.revocation?.standing),
  ]);
  const shown = visibleRecipients(message.root.fields);
  const decision = decideOutbound(
    {
      principal,
      from,
      sender,
      belongs: parts.keyring.addressesOf(principal),
      protection: clientProtection(message),
      signing: signing.facts,
      recipients: recipients.map((recipient, index) => ({
        address: addressOf(recipient),
        visible: shown.has(addressOf(recipient)),
        certificates: certificates[index] ?? { kind: 'lookup-failed' },
      })),
    },
    parts.rules,
  );
  const { algorithms: settings = cautiousAlgorithms, addressAlgorithms = [] } = parts;
  const algorithms = algorithmsFor(settings, addressAlgorithms, principal, from);
  const signingKey = signing.key;
  const findings = {
    ...{ mail, principal, recipients, certificates, signingKey, from, at, algorithms },
    ...(parts.revocation === undefined ? {} : { standing: parts.revocation.standing }),
  };
  return carryOut(decision, withoutBlindCopies(message), findings, parts.keyring);
}

async function carryOut(
  decision: OutboundDecision,
  message: Message,
  findings: Findings,
  keyring: Keyring,
): Promise<PreparedVariant[]> {
  switch (decision.kind) {
    case 'refuse': {
      const { duration, enhancedCode, publicText } = decision;
      throw new MailRefused({ code: 'policy.refused', duration, enhancedCode, publicText });
    }
    case 'forward-unchanged': {
      const { recipients } = findings;
      const protection = { signed: false, encrypted: false };
      return [{ recipients, protection, rule: decision.rule, make: async () => message.octets }];
    }
    case 'deliver':
      return prepareVariants({ message, variants: decision.variants }, findings, keyring);
  }
}

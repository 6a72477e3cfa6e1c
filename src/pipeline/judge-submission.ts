import { limits } from '../limits.ts';
import { decideOutbound, type OutboundDecision } from '../policy/decide-outbound.ts';
import type { OutboundFacts, UpstreamFacts } from '../policy/facts.ts';
import { mayEncrypt } from '../policy/may-encrypt.ts';
import { type AlgorithmSettings, cautiousAlgorithms } from '../smime/algorithm-choice.ts';
import { type AddressAlgorithms, algorithmsFor } from './address-algorithms.ts';
import { asClientAsksForTls } from './asked-for-tls.ts';
import { clientProtection } from './client-protection.ts';
import { groupFacts } from './group-facts.ts';
import { messageFacts } from './message-facts.ts';
import { type OutboundPolicy, originFacts, recipientGroups } from './outbound-policy.ts';
import { type OutgoingMessage, readOutgoing, withoutParts } from './outgoing-message.ts';
import type { Clock, Keyring, RevocationUse, Submission } from './ports.ts';
import type { Findings } from './protect.ts';
import { addressOf, distinct, type RecipientLookups } from './recipient-certificates.ts';
import { senderOf } from './sender.ts';
import { findSigningKey } from './signing-keys.ts';
import { visibleRecipients } from './visible-recipients.ts';

/** What a judgement rests on besides the mail and the rules. */
export type JudgingParts = {
  keyring: Keyring;
  /** Cautious ones when absent. */
  algorithms?: AlgorithmSettings;
  /** What is pinned for single addresses; absent: nothing. */
  addressAlgorithms?: readonly AddressAlgorithms[];
  /** Absent: revocation is not looked at. */
  revocation?: RevocationUse;
  /** Messages that are not longer are in memory; `limits.outbound.memoryOctets` when absent. */
  memoryOctets?: number;
  clock: Clock;
};

const NO_GROUPS = { in: [], unknown: [] };

/** A mail with all that was found out about it, and what the rules say. */
export type JudgedSubmission = {
  message: OutgoingMessage;
  facts: OutboundFacts;
  decision: OutboundDecision;
  findings: Findings;
};

/**
 * Find certificates, assess, decide: the half of the story in which no key is used and nothing leaves. `policy explain` goes this
 * far too.
 *
 * @throws SealgateError `mail.*` for a message that cannot be read, `directory.*`, `key.*`
 * @throws MailRefused for one that only claims to be protected
 */
export async function judgeSubmission(
  { id: mail, origin, envelope, octets }: Submission,
  policy: OutboundPolicy,
  upstream: UpstreamFacts,
  lookups: RecipientLookups,
  parts: JudgingParts,
): Promise<JudgedSubmission> {
  const { principal } = origin;
  const { keyring, algorithms: settings = cautiousAlgorithms, addressAlgorithms = [], revocation } = parts;
  const { memoryOctets = limits.outbound.memoryOctets } = parts;
  const at = parts.clock();
  const recipients = distinct(envelope.recipients);
  const message = await readOutgoing(octets, memoryOctets);
  const { from, sender } = senderOf(message.root.fields);
  // First, since it depends on them whose certificates are looked at.
  const [originated, fromGroups, groups] = await Promise.all([
    originFacts(origin, policy),
    from === null ? NO_GROUPS : groupFacts(policy, 'sender', from),
    Promise.all(recipients.map((recipient) => recipientGroups(policy, addressOf(recipient)))),
  ]);
  // By the very groups that the rules will be asked with: what is known of them may change any moment.
  const needed = new Set(
    recipients
      .map((recipient, index) => ({ address: addressOf(recipient), ...(groups[index] ?? { groups: [] }) }))
      .filter((recipient) => mayEncrypt(originated, recipient, policy.rules))
      .map(({ address }) => address),
  );
  const [certificates, signing] = await Promise.all([
    lookups.settle(origin, recipients, at, (_, address) => needed.has(address)),
    findSigningKey(keyring, principal, from, mail, revocation?.standing),
  ]);
  const shown = visibleRecipients(message.root.fields);
  const facts: OutboundFacts = {
    ...originated,
    from,
    ...{ fromGroups: fromGroups.in, fromGroupsAway: fromGroups.unknown },
    sender,
    belongs: keyring.addressesOf(principal),
    protection: await clientProtection(message),
    message: await messageFacts(message, policy.rules),
    upstream,
    signing: signing.facts,
    recipients: recipients.map((recipient, index) => ({
      address: addressOf(recipient),
      ...(groups[index] ?? { groups: [] }),
      visible: shown.has(addressOf(recipient)),
      certificates: certificates[index] ?? { kind: 'lookup-failed' },
    })),
  };
  const findings = {
    ...{ mail, principal, recipients, certificates, signingKey: signing.key, from, at },
    algorithms: algorithmsFor(settings, addressAlgorithms, principal.login, from),
    ...(revocation === undefined ? {} : { standing: revocation.standing }),
  };
  const decision = asClientAsksForTls(decideOutbound(facts, policy.rules), envelope);
  return { message: withoutParts(message), facts, decision, findings };
}

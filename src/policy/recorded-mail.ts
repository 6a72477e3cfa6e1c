import type { RecipientDecision, RecipientOutcome } from './decide-for-recipient.ts';
import type { AttachmentFacts, CertificateFacts, OutboundFacts } from './facts.ts';
import { conditionsOf, looksAt } from './looks-at.ts';
import { headerHolds, headerKey } from './message-conditions.ts';
import type {
  CertificateTrust,
  HeaderCondition,
  Rule,
  SignatureForm,
  SubjectConfidentiality,
} from './rules.ts';
import { STEERING_WORDS, steeringCondition } from './steering.ts';

/**
 * What is kept of a decision, so that other rules can decide it again: addresses, sizes and outcomes. Of a header only what came of each
 * condition that a rule had, of a Subject which of the tags that a rule looked for were there, of attachments types and extensions,
 * and those only where a rule looked. No Subject, no file name, no value, no content.
 */
export type RecordedMail = {
  login: string;
  listener: string;
  from: string;
  octets: number;
  protection: OutboundFacts['protection'];
  revocation: OutboundFacts['revocation'];
  upstream: OutboundFacts['upstream'];
  signing: { kind: 'available' } | { kind: 'unavailable'; duration: 'temporary' | 'permanent' };
  /** By `headerKey`. */
  header: Readonly<Record<string, boolean>>;
  tags: { found: readonly string[]; looked: readonly string[] };
  /** null: no rule looked. */
  attachments: readonly AttachmentFacts[] | null;
  recipients: readonly RecordedRecipient[];
};

export type RecordedRecipient = {
  address: string;
  visible: boolean;
  /** null: nobody looked, because no rule could depend on it. */
  certificates: CertificateFacts | null;
  treatment: Treatment;
};

/** What became of one recipient, without words. */
export type Treatment =
  | {
      kind: 'send';
      rule: string | null;
      signed: SignatureForm | null;
      /** Trust in the certificate that is encrypted to; null: not encrypted. */
      encrypted: string | null;
      subject: SubjectConfidentiality;
      requireTls: boolean;
      stripped: boolean;
      pinned: boolean;
      /** Absent: into no archive. */
      appendTo?: string;
    }
  | {
      kind: 'hold';
      rule: string | null;
      signed: SignatureForm | null;
      ask: boolean;
      introduce: boolean;
      /** Of the certificate that it waits for. */
      minTrust: CertificateTrust;
      subject: SubjectConfidentiality;
      requireTls: boolean;
      stripped: boolean;
      pinned: boolean;
      appendTo?: string;
    }
  | { kind: 'as-is'; rule: string | null; requireTls: boolean; appendTo?: string }
  | { kind: 'refuse'; rule: string | null; duration: 'temporary' | 'permanent'; enhancedCode: string };

/** @param lookedFor whether certificates of an address were looked for */
export function recordMail(
  facts: OutboundFacts & { from: string },
  rules: readonly Rule[],
  decisions: readonly RecipientDecision[],
  lookedFor: (address: string) => boolean,
): RecordedMail {
  const { principal, listener, from, message, protection, revocation, upstream, signing } = facts;
  const conditions = rules.flatMap(headerConditionsOf);
  const looked = [...looksAt(rules).tags];
  return {
    ...{ login: principal.login, listener, from, octets: message.octets, protection, revocation, upstream },
    signing: signing.kind === 'available' ? signing : { kind: 'unavailable', duration: signing.duration },
    header: Object.fromEntries(
      conditions.map((one) => [headerKey(one), headerHolds([one], message) === 'yes']),
    ),
    tags: { found: message.tags.found.filter((tag) => looked.includes(tag)), looked },
    attachments: message.attachments,
    recipients: facts.recipients.flatMap(({ address, visible, certificates }, index) => {
      const decision = decisions[index];
      return decision === undefined
        ? []
        : [
            {
              ...{ address, visible },
              certificates: lookedFor(address) ? withoutWords(certificates) : null,
              treatment: treatmentOf(decision, certificates),
            },
          ];
    }),
  };
}

export function treatmentOf({ rule, outcome }: RecipientDecision, certificates: CertificateFacts): Treatment {
  const name = rule?.name ?? null;
  const archive = rule?.appendTo == null ? {} : { appendTo: rule.appendTo };
  switch (outcome.kind) {
    case 'send':
      return {
        ...{ kind: 'send', rule: name, signed: outcome.sign, encrypted: trustOf(outcome, certificates) },
        ...{ subject: outcome.subject, requireTls: outcome.requireTls },
        ...{ stripped: outcome.strip !== null, pinned: outcome.algorithms !== null, ...archive },
      };
    case 'hold': {
      const { sign, strip, introduce, terms } = outcome;
      const { ask, minTrust, subject, requireTls, algorithms } = terms;
      return {
        ...{ kind: 'hold', rule: name, signed: sign, ask, introduce, minTrust, subject },
        ...{ requireTls: requireTls !== 'no', stripped: strip !== null, pinned: algorithms !== null },
        ...archive,
      };
    }
    case 'as-is':
      return { kind: 'as-is', rule: name, requireTls: outcome.requireTls, ...archive };
    case 'refuse':
      return {
        ...{ kind: 'refuse', rule: name, duration: outcome.duration, enhancedCode: outcome.enhancedCode },
      };
  }
}

function trustOf(
  { certificate }: Extract<RecipientOutcome, { kind: 'send' }>,
  certificates: CertificateFacts,
): string | null {
  if (certificate === null || certificates.kind !== 'usable') return null;
  return certificates.certificates[certificate]?.trust ?? null;
}

function headerConditionsOf(rule: Rule): HeaderCondition[] {
  const field = rule.steering?.header ?? null;
  return [
    ...conditionsOf(rule).flatMap(({ header }) => header ?? []),
    ...(field === null ? [] : STEERING_WORDS.map((word) => steeringCondition(field, word))),
  ];
}

/** The sentences are for the sender then; a certificate is its trust and the doubt about it. */
function withoutWords(certificates: CertificateFacts): CertificateFacts {
  switch (certificates.kind) {
    case 'usable':
      return {
        kind: 'usable',
        ...(certificates.incomplete === true ? { incomplete: true } : {}),
        certificates: certificates.certificates.map(({ trust, doubt = null }) => ({
          trust,
          doubt: doubt === null ? null : { because: '', mayPass: doubt.mayPass },
        })),
      };
    case 'unusable':
      return { kind: 'unusable', because: '' };
    case 'none':
    case 'lookup-failed':
      return certificates;
  }
}

import { unreachable } from '../errors.ts';
import type {
  CertificateFacts,
  OutboundFacts,
  RecipientFacts,
  RevocationFailure,
  UpstreamFacts,
} from './facts.ts';
import { type JudgedCertificates, judgedCertificates } from './judged-certificates.ts';
import { correspondenceOf, firstRule } from './match.ts';
import { quoted } from './quoted.ts';
import type { Rule, RuleAlgorithms, SignatureForm, SubjectConfidentiality } from './rules.ts';
import { type Strip, steeredRule, stripOf } from './steering.ts';
import { isTrusted } from './trust.ts';

/**
 * What one recipient may get by the first rule that applies.
 *
 * What must never happen: that a recipient gets less than the rule requires, or less than the rule would give because
 * something is away for a moment. So an outage is always a temporary refusal, under `if-possible` too.
 */
export type RecipientDecision = {
  /** null: none applies. */
  rule: Rule | null;
  outcome: RecipientOutcome;
};

export type RecipientOutcome =
  /**
   * `certificate` is an index into the recipient's usable certificates; null: not encrypted. `subject`: what an encrypted
   * mail shows of it outside.
   */
  | {
      kind: 'send';
      sign: SignatureForm | null;
      certificate: number | null;
      subject: SubjectConfidentiality;
      /** null: nothing is taken out. */
      strip: Strip | null;
      algorithms: RuleAlgorithms | null;
      requireTls: boolean;
    }
  /** The client's own protection is what the rule accepts. */
  | { kind: 'as-is'; requireTls: boolean }
  | ({ kind: 'refuse' } & Refusal);

export type Refusal = {
  duration: 'temporary' | 'permanent';
  /** RFC 3463. */
  enhancedCode: string;
  /** Same for all recipients that are refused for the same reason; their addresses are told apart from it. */
  problem: string;
  /** What the sender can do. */
  remedy: string;
};

/** Precondition: `from` is one address and belongs to the principal. */
export function decideForRecipients(
  facts: OutboundFacts & { from: string },
  rules: readonly Rule[],
): readonly RecipientDecision[] {
  const correspondence = correspondenceOf(facts);
  return facts.recipients.map((recipient) => {
    const found = firstRule(rules, correspondence(recipient));
    switch (found.kind) {
      case 'rule':
        return { rule: found.rule, outcome: steered(found.rule, facts, recipient) };
      case 'none':
        return { rule: null, outcome: noRule(facts.from) };
      case 'undecided':
        return { rule: found.rule, outcome: undecided(found.rule, facts, recipient) };
      default:
        return unreachable(found);
    }
  });
}

/** What the rule's demand for encryption comes to, given what is known of the recipient's certificates. */
export type Encryption =
  | { kind: 'with'; certificate: number }
  | { kind: 'without' }
  /** Only if it is signed. */
  | { kind: 'signed-only' }
  | ({ kind: 'refuse' } & Refusal);

export function decideEncryption(
  rule: Rule,
  facts: CertificateFacts,
  revocation: RevocationFailure,
): Encryption {
  if (rule.encrypt === 'never') return { kind: 'without' };
  const certificates = judgedCertificates(facts, rule.revocation ?? revocation);
  const outage = outageOf(certificates, rule.name);
  if (outage !== null) return { kind: 'refuse', ...outage };
  const known = certificates.kind === 'usable' ? certificates.certificates : [];
  const certificate = known.find(({ trust }) => isTrusted(trust, rule.minTrust));
  if (certificate !== undefined) return { kind: 'with', certificate: certificate.index };
  if (certificates.kind === 'usable' && certificates.incomplete) {
    return { kind: 'refuse', ...lookupFailed(rule.name) };
  }
  if (rule.encrypt === 'if-possible') return { kind: 'without' };
  switch (rule.withoutCertificate) {
    case 'send-signed':
      return { kind: 'signed-only' };
    case 'refuse-all':
    case 'refuse-recipient':
      return { kind: 'refuse', ...withoutCertificate(rule, certificates) };
    default:
      return unreachable(rule.withoutCertificate);
  }
}

function steered(rule: Rule, facts: OutboundFacts, recipient: RecipientFacts): RecipientOutcome {
  const demanded = steeredRule(rule, facts.message);
  if (demanded === null) return undecided(rule, facts, recipient);
  return withoutTls(demanded, facts.upstream) ?? apply(demanded, facts, recipient);
}

/** A refusal where the way on is not what the rule asks for. */
function withoutTls({ requireTls, name }: Rule, upstream: UpstreamFacts): RecipientOutcome | null {
  const isMissing = requireTls !== 'no' && !upstream.tls;
  if (!isMissing && (requireTls !== 'onward' || upstream.requireTls)) return null;
  return {
    kind: 'refuse',
    duration: 'permanent',
    // RFC 8689: X.7.30 REQUIRETLS support required.
    enhancedCode: isMissing ? '5.7.1' : '5.7.30',
    problem: isMissing
      ? `the mail may only leave by TLS (rule ${name}), and the connection to the mail server has none`
      : `the mail may only leave by TLS on its whole way (rule ${name}), which the mail server does not promise`,
    remedy: 'Please ask the administrator of the mail gateway.',
  };
}

function apply(rule: Rule, facts: OutboundFacts, recipient: RecipientFacts): RecipientOutcome {
  if (facts.protection !== 'none' && rule.alreadyProtected === 'refuse') {
    return {
      kind: 'refuse',
      duration: 'permanent',
      enhancedCode: '5.7.1',
      problem: `your mail program has ${facts.protection} the mail itself, and the rule ${rule.name} does not allow that`,
      remedy: 'Turn S/MIME off in your mail program: the gateway does it.',
    };
  }
  const requireTls = rule.requireTls !== 'no';
  if (facts.protection === 'encrypted') return { kind: 'as-is', requireTls };
  const encryption = decideEncryption(rule, recipient.certificates, facts.revocation);
  if (encryption.kind === 'refuse') return encryption;
  const certificate = encryption.kind === 'with' ? encryption.certificate : null;
  const sent = { kind: 'send', certificate, algorithms: rule.algorithms, requireTls } as const;
  if (facts.protection === 'signed') {
    // The client's signature stands for ours; a second one would say that the gateway wrote the mail. What it covers cannot
    // be changed, so the Subject cannot go inside: hidden outside, its readers would never see it.
    return certificate === null
      ? { kind: 'as-is', requireTls }
      : { ...sent, sign: null, subject: 'keep', strip: null };
  }
  const subject = certificate === null ? 'keep' : rule.subject;
  const strip = stripOf(rule);
  const unsigned: RecipientOutcome = { ...sent, sign: null, subject, strip };
  const demand = encryption.kind === 'signed-only' ? 'require' : rule.sign;
  if (demand === 'never') return unsigned;
  // Nothing is wrapped twice that is not encrypted in between.
  const form = rule.form === 'triple-wrap' && certificate === null ? 'clear' : rule.form;
  if (facts.signing.kind === 'available') return { ...unsigned, sign: form };
  const { duration, publicText, detail = '7.5' } = facts.signing;
  if (demand === 'require' || duration === 'temporary') {
    return {
      kind: 'refuse',
      duration,
      // RFC 3463 §3.8: X.7.5 cryptographic failure, because information such as the key was not available.
      enhancedCode: `${duration === 'temporary' ? 4 : 5}.${detail}`,
      problem: `the mail could not be signed (rule ${rule.name}): ${quoted(publicText, 300).replace(/\.$/, '')}`,
      remedy:
        duration === 'temporary'
          ? 'Please send the mail again then.'
          : 'Please ask the administrator of the mail gateway.',
    };
  }
  return unsigned;
}

/** An outage is always a temporary refusal. null: there is none. */
function outageOf(certificates: JudgedCertificates, rule: string): Refusal | null {
  switch (certificates.kind) {
    case 'lookup-failed':
      return lookupFailed(rule);
    case 'unchecked':
      return {
        duration: 'temporary',
        // RFC 3463 §3.8: X.7.5 cryptographic failure, because necessary information was not available.
        enhancedCode: '4.7.5',
        problem: `whether the certificate has been revoked could not be checked just now (rule ${rule}): ${quoted(certificates.because, 300).replace(/\.$/, '')}`,
        remedy: 'Please send the mail again in a few minutes.',
      };
    case 'none':
    case 'unusable':
    case 'usable':
      return null;
    default:
      return unreachable(certificates);
  }
}

function lookupFailed(rule: string): Refusal {
  return {
    duration: 'temporary',
    // RFC 3463 §3.5: X.4.3 directory server failure.
    enhancedCode: '4.4.3',
    problem: `the certificate could not be looked up just now (rule ${rule})`,
    remedy: 'Please send the mail again in a few minutes.',
  };
}

/** Nobody can tell for now whether the rule applies, and the ones behind it must not decide in its place. */
function undecided(rule: Rule, facts: OutboundFacts, { certificates }: RecipientFacts): RecipientOutcome {
  const judged = judgedCertificates(certificates, rule.revocation ?? facts.revocation);
  const refusal = outageOf(judged, rule.name) ?? {
    duration: 'temporary',
    enhancedCode: '4.3.0',
    problem: `what the rule ${rule.name} looks at could not be found out`,
    remedy: 'Please send the mail again in a few minutes.',
  };
  return { kind: 'refuse', ...refusal };
}

function noRule(from: string): RecipientOutcome {
  return {
    kind: 'refuse',
    duration: 'permanent',
    enhancedCode: '5.7.1',
    problem: `no rule says how mail from ${quoted(from)} may be sent there`,
    remedy: 'Please ask the administrator of the mail gateway.',
  };
}

function withoutCertificate(rule: Rule, certificates: JudgedCertificates): Refusal {
  if (certificates.kind === 'unusable') {
    return {
      duration: 'permanent',
      enhancedCode: '5.7.1',
      problem: `mail must be encrypted (rule ${rule.name}), and the certificate that is known cannot be used for it: ${quoted(certificates.because, 300).replace(/\.$/, '')}`,
      remedy:
        'Ask for a digitally signed mail from there that brings another certificate. Then send yours again.',
    };
  }
  const someKnown = certificates.kind === 'usable';
  return {
    duration: 'permanent',
    enhancedCode: '5.7.1',
    problem: someKnown
      ? `mail must be encrypted (rule ${rule.name}), and the certificate that is known is not trusted enough for it`
      : `mail must be encrypted (rule ${rule.name}), and no valid certificate is known`,
    remedy: someKnown
      ? 'Please ask the administrator of the mail gateway to check the certificate.'
      : 'Ask for a digitally signed mail from there: it brings the certificate. Then send yours again.',
  };
}

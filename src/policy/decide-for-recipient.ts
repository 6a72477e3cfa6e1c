import { unreachable } from '../errors.ts';
import { certificateToUse, type Lack, outageOf } from './certificate-to-use.ts';
import type {
  CertificateFacts,
  OutboundFacts,
  RecipientFacts,
  RevocationFailure,
  SigningFacts,
  UpstreamFacts,
} from './facts.ts';
import type { HoldTerms } from './hold-terms.ts';
import { judgedCertificates } from './judged-certificates.ts';
import { correspondenceOf, firstRule } from './match.ts';
import { quoted } from './quoted.ts';
import type { Refusal } from './refusal.ts';
import type { Rule, RuleAlgorithms, SignatureForm, SubjectConfidentiality } from './rules.ts';
import { type Strip, steeredRule, stripOf } from './steering.ts';

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
  /** It waits until it can be encrypted; signed it is now. */
  | {
      kind: 'hold';
      /** A clause for people: why it cannot be encrypted. */
      because: string;
      sign: 'clear' | 'opaque' | null;
      strip: Strip | null;
      /** Its sender may have it leave as it is signed, readable by others. */
      readable: boolean;
      introduce: boolean;
      terms: HoldTerms;
    }
  /** The client's own protection is what the rule accepts. */
  | { kind: 'as-is'; requireTls: boolean }
  | ({ kind: 'refuse' } & Refusal);

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
  /** Not now. `because`: a clause for people. */
  | { kind: 'hold'; because: string }
  | ({ kind: 'refuse' } & Refusal);

export function decideEncryption(
  rule: Rule,
  facts: CertificateFacts,
  revocation: RevocationFailure,
): Encryption {
  if (rule.encrypt === 'never') return { kind: 'without' };
  const { name, minTrust } = rule;
  const found = certificateToUse({ rule: name, minTrust, revocation: rule.revocation ?? revocation }, facts);
  switch (found.kind) {
    case 'with':
      return found;
    case 'outage':
      return { kind: 'refuse', ...found.refusal };
    case 'lacking':
      return rule.encrypt === 'if-possible' ? { kind: 'without' } : withoutCertificate(rule, found);
    default:
      return unreachable(found);
  }
}

function withoutCertificate(rule: Rule, lack: Lack): Encryption {
  switch (rule.withoutCertificate) {
    case 'send-signed':
      return { kind: 'signed-only' };
    case 'hold':
    case 'ask':
      // Nobody is there to sign around it later; the configuration refuses such rules.
      if (rule.form === 'triple-wrap') return { kind: 'refuse', ...lackRefusal(rule, lack) };
      return { kind: 'hold', because: lack.because };
    case 'refuse-all':
    case 'refuse-recipient':
      return { kind: 'refuse', ...lackRefusal(rule, lack) };
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
  const isEncrypted = encryption.kind === 'with' || encryption.kind === 'hold';
  if (facts.protection === 'signed') {
    // The client's signature stands for ours; a second one would say that the gateway wrote the mail. What it covers cannot
    // be changed, so the Subject cannot go inside: hidden outside, its readers would never see it.
    if (!isEncrypted) return { kind: 'as-is', requireTls };
    return outcomeOf({ ...rule, subject: 'keep' }, encryption, { sign: null, strip: null }, facts);
  }
  const signature = signatureBy(rule, encryption, facts.signing);
  if (signature.kind === 'refuse') return signature;
  return outcomeOf(rule, encryption, { sign: signature.form, strip: stripOf(rule) }, facts);
}

function outcomeOf(
  rule: Rule,
  encryption: Exclude<Encryption, { kind: 'refuse' }>,
  { sign, strip }: { sign: SignatureForm | null; strip: Strip | null },
  facts: OutboundFacts,
): RecipientOutcome {
  const { name, algorithms, subject, minTrust, requireTls, withoutCertificate, appendTo } = rule;
  if (encryption.kind === 'hold') {
    const ask = withoutCertificate === 'ask';
    const isSigned = sign !== null || facts.protection === 'signed';
    const revocation = rule.revocation ?? facts.revocation;
    return {
      ...{ kind: 'hold', because: encryption.because, strip },
      sign: sign === 'opaque' || sign === null ? sign : 'clear',
      readable: ask && isSigned,
      introduce: rule.introduce && rule.sign !== 'never' && facts.signing.kind === 'available',
      terms: { rule: name, ask, minTrust, revocation, algorithms, subject, requireTls, appendTo },
    };
  }
  const certificate = encryption.kind === 'with' ? encryption.certificate : null;
  return {
    ...{ kind: 'send', certificate, algorithms, requireTls: requireTls !== 'no', sign, strip },
    subject: certificate === null ? 'keep' : subject,
  };
}

/** How the gateway signs; `form` null: it does not. */
function signatureBy(
  rule: Rule,
  encryption: Encryption,
  signing: SigningFacts,
): { kind: 'form'; form: SignatureForm | null } | ({ kind: 'refuse' } & Refusal) {
  const demand = encryption.kind === 'signed-only' ? 'require' : rule.sign;
  if (demand === 'never') return { kind: 'form', form: null };
  // Nothing is wrapped twice that is not encrypted in between.
  const form = rule.form === 'triple-wrap' && encryption.kind !== 'with' ? 'clear' : rule.form;
  if (signing.kind === 'available') return { kind: 'form', form };
  const { duration, publicText, detail = '7.5' } = signing;
  if (demand !== 'require' && duration !== 'temporary') return { kind: 'form', form: null };
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

function lackRefusal({ name }: Rule, { reason, because }: Lack): Refusal {
  return {
    duration: 'permanent',
    enhancedCode: '5.7.1',
    problem: `mail must be encrypted (rule ${name}), and ${because}`,
    remedy: REMEDIES[reason],
  };
}

const REMEDIES: Readonly<Record<Lack['reason'], string>> = {
  none: 'Ask for a digitally signed mail from there: it brings the certificate. Then send yours again.',
  unusable:
    'Ask for a digitally signed mail from there that brings another certificate. Then send yours again.',
  untrusted: 'Please ask the administrator of the mail gateway to check the certificate.',
};

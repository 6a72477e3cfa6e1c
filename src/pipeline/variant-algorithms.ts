import type { SigningKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import type { HeldVariant, OutboundVariant } from '../policy/decide-outbound.ts';
import type { HoldTerms } from '../policy/hold-terms.ts';
import { quoted } from '../policy/quoted.ts';
import type { SignatureForm, SubjectConfidentiality } from '../policy/rules.ts';
import type { Strip } from '../policy/steering.ts';
import {
  type AlgorithmSettings,
  chooseEncryption,
  chooseSignature,
  type EncryptionChoice,
  type Reader,
  type SignatureChoice,
} from '../smime/algorithm-choice.ts';
import type { OwnCertificate } from './ports.ts';
import type { RecipientCertificates } from './recipient-certificates.ts';

/** With what one variant is signed and encrypted: what is done, and the same said by `policy explain`. */

/** What the choice rests on. */
export type AlgorithmFacts = {
  /** In the order of the mail's recipients. */
  certificates: readonly RecipientCertificates[];
  signingKey: SigningKey | null;
  /** The sender's own certificate, for the copy that she reads; null: she has none. */
  own: OwnCertificate | null;
  settings: AlgorithmSettings;
};

export type VariantAlgorithms = {
  /** null: not signed here. */
  signature: SignatureChoice | null;
  /** null: not encrypted. Its recipients are those of the variant and then the sender, where she has a certificate. */
  encryption: EncryptionChoice | null;
};

/** @throws SealgateError `gateway.defect`: the decision does not fit what it rests on. */
export function variantAlgorithms(variant: OutboundVariant, facts: AlgorithmFacts): VariantAlgorithms {
  const { recipients, sign, encrypt } = variant;
  const { certificates, own, signingKey } = facts;
  const settings = { ...facts.settings, pins: variant.algorithms };
  let signature: SignatureChoice | null = null;
  if (sign !== null) {
    if (signingKey === null) throw broken('decided to sign without a key');
    const readers = recipients.map((index, place) => {
      const known = certificates[index];
      const choice = encrypt?.certificates[place] ?? 0;
      return known?.kind === 'usable' ? (known.certificates[choice] ?? null) : null;
    });
    signature = chooseSignature(signingKey.schemes, readers, settings);
  }
  if (encrypt === null) return { signature, encryption: null };
  if (encrypt.certificates.length !== recipients.length) {
    throw broken('decided to encrypt to only some of the recipients');
  }
  const readers = recipients.map((index, place): Reader => {
    const known = certificates[index];
    const chosen =
      known?.kind === 'usable' ? known.certificates[encrypt.certificates[place] ?? -1] : undefined;
    if (chosen === undefined) throw broken('decided to encrypt without a certificate');
    return chosen;
  });
  return { signature, encryption: chooseEncryption(readers, own?.certificate ?? null, settings) };
}

/**
 * How what waits is signed: its readers are not known. null: neither it nor an introduction is.
 *
 * @throws SealgateError `gateway.defect`, `cms.no-scheme`
 */
export function waitingSignature(
  { sign, introduce, terms }: Pick<HeldVariant, 'sign' | 'introduce' | 'terms'>,
  { signingKey, settings }: Pick<AlgorithmFacts, 'signingKey' | 'settings'>,
): SignatureChoice | null {
  if (sign === null && !introduce) return null;
  if (signingKey === null) throw broken('decided to sign without a key');
  return chooseSignature(signingKey.schemes, [null], { ...settings, pins: terms.algorithms });
}

/** The decision and what it rests on do not fit together: a defect, and never a reason to send. */
export function broken(reason: string): SealgateError {
  return new SealgateError({
    code: 'gateway.defect',
    duration: 'temporary',
    publicText:
      'The gateway could not protect this message as its rules say; it was not sent. Please try again later.',
    reason,
  });
}

/** One message that would leave, for people and programs. */
export type ExplainedVariant = {
  recipients: readonly string[];
  /** Names of the rules that said so. */
  rule: string;
  /** What is taken out of the mail before; null: nothing. */
  strip: Strip | null;
  /** It leaves by TLS only. */
  requireTls: boolean;
  /** Archives that get a copy. */
  appendTo: readonly string[];
  signature: { form: SignatureForm; algorithm: string; because: string } | null;
  encryption: {
    /** Of the Subject on the way. */
    subject: SubjectConfidentiality;
    content: string;
    because: string;
    /** Whether the content key is bound to its algorithm (RFC 9709). */
    boundKey: boolean;
    /** `reader`: an address, or `the sender`. */
    keys: readonly { reader: string; algorithm: string; because: string }[];
  } | null;
};

/** @param addresses of the mail's recipients, in their order */
export function explainVariant(
  variant: OutboundVariant,
  facts: AlgorithmFacts,
  addresses: readonly string[],
): ExplainedVariant {
  const { signature, encryption } = variantAlgorithms(variant, facts);
  const recipients = variant.recipients.map((index) => addresses[index] ?? '');
  return {
    recipients,
    ...{ rule: variant.rule, strip: variant.strip, requireTls: variant.requireTls },
    appendTo: variant.appendTo,
    signature:
      signature === null || variant.sign === null
        ? null
        : { form: variant.sign.form, algorithm: signature.name, because: signature.because },
    encryption:
      encryption === null || variant.encrypt === null
        ? null
        : {
            subject: variant.encrypt.subject,
            content: encryption.contentEncryption,
            because: encryption.because,
            boundKey: encryption.boundKey,
            keys: encryption.recipients.map(({ scheme, because }, place) => ({
              reader: recipients[place] ?? 'the sender',
              algorithm: scheme,
              because,
            })),
          },
  };
}

/** One mail that would wait, for people and programs. */
export type ExplainedWaiting = {
  recipients: readonly string[];
  /** The terms that stay with it, with the name of the rule. */
  terms: HoldTerms;
  strip: Strip | null;
  signature: { form: 'clear' | 'opaque'; algorithm: string; because: string } | null;
  /** Its author may have it leave signed only. */
  readable: boolean;
  introduce: boolean;
};

/** @param addresses of the mail's recipients, in their order */
export function explainWaiting(
  variant: HeldVariant,
  facts: AlgorithmFacts,
  addresses: readonly string[],
): ExplainedWaiting {
  const { recipients, terms, strip, sign, readable, introduce } = variant;
  const signature = waitingSignature(variant, facts);
  return {
    recipients: recipients.map(({ index }) => addresses[index] ?? ''),
    ...{ terms, strip, readable, introduce },
    signature:
      signature === null || sign === null
        ? null
        : { form: sign.form, algorithm: signature.name, because: signature.because },
  };
}

/** For a terminal. No line holds control characters. */
export function waitingLines({
  recipients,
  terms,
  signature,
  readable,
  introduce,
}: ExplainedWaiting): string[] {
  const choices = [...(readable ? ['send it signed only'] : []), 'wait', 'discard it'];
  return [
    `Kept for ${recipients.map((address) => quoted(address)).join(', ')}, until it can be encrypted`,
    `  rule: ${terms.rule}`,
    signature === null ? '  no signature' : `  signature: ${signature.algorithm} (${signature.because})`,
    ...(terms.ask ? [`  its author would be asked: ${choices.join(', ')}`] : []),
    ...(introduce ? ['  introduction: a signed note of its author to each of them'] : []),
    ...(terms.requireTls === 'no' ? [] : ['  leaves by TLS only']),
  ];
}

/** For a terminal. No line holds control characters. */
export function variantLines({
  recipients,
  rule,
  appendTo,
  signature,
  encryption,
}: ExplainedVariant): string[] {
  const lines = [`Message for ${recipients.map((address) => quoted(address)).join(', ')}`, `  rule: ${rule}`];
  if (appendTo.length > 0) lines.push(`  copies: ${appendTo.join(', ')}`);
  lines.push(
    signature === null ? '  no signature' : `  signature: ${signature.algorithm} (${signature.because})`,
  );
  if (encryption === null) return [...lines, '  no encryption'];
  const bound = encryption.boundKey ? ', content key bound to it' : '';
  lines.push(`  content: ${encryption.content} (${encryption.because})${bound}`);
  for (const { reader, algorithm, because } of encryption.keys) {
    lines.push(`  key for ${quoted(reader)}: ${algorithm} (${because})`);
  }
  return lines;
}

import type { SigningKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import { readMessage } from '../mail/entity-tree.ts';
import type { HeaderProtection } from '../mail/header-protection.ts';
import type { Message } from '../mail/message.ts';
import type { OutboundVariant } from '../policy/decide-outbound.ts';
import type { SignatureForm } from '../policy/rules.ts';
import type { Strip } from '../policy/steering.ts';
import type { AlgorithmSettings, EncryptionChoice, SignatureChoice } from '../smime/algorithm-choice.ts';
import { ownCapabilities, ownCapabilitiesWithoutOaep } from '../smime/capabilities.ts';
import { encryptMessage } from '../smime/encrypt.ts';
import { recognise } from '../smime/recognise.ts';
import { signMessage } from '../smime/sign.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { ownCertificate } from './own-certificate.ts';
import { checkPinned } from './pinned.ts';
import type { Keyring, OwnCertificate, Principal, RevocationStanding, Variant } from './ports.ts';
import { addressOf, type RecipientCertificates } from './recipient-certificates.ts';
import { type AlgorithmFacts, broken, variantAlgorithms } from './variant-algorithms.ts';
import { withoutSteering } from './without-steering.ts';

export type Findings = {
  mail: MailId;
  principal: Principal;
  recipients: readonly Recipient[];
  /** In the order of `recipients`. */
  certificates: readonly RecipientCertificates[];
  signingKey: SigningKey | null;
  from: string | null;
  at: Date;
  algorithms: AlgorithmSettings;
  /** Absent: revocation is not looked at. */
  standing?: RevocationStanding;
};

/** A variant whose message is made when its turn comes. */
export type PreparedVariant = Omit<Variant, 'octets'> & {
  /** Names of the rules that said so. */
  rule: string;
  /** The message. Throws only what could not be foreseen. */
  make: () => Promise<Buffer>;
};

/**
 * Prepares the message of each variant. The message is signed once for each form, scheme and way in which its header is
 * protected (what is hidden outside is said inside), and shared: recipients of alike variants get the same signature, and
 * the key is used once for them. Encrypted messages are made one at a time, when they are handed over: a mail with
 * a hundred blind copies is a hundred messages, which must not be in memory together.
 *
 * Must never happen: a variant that was decided protected and is not; a part of the variants has gone when it shows
 * that another cannot be made. What cannot be done throws here, before anything is handed over.
 */
export async function prepareVariants(
  { message, variants }: { message: Message; variants: readonly OutboundVariant[] },
  findings: Findings,
  keyring: Keyring,
): Promise<PreparedVariant[]> {
  const messages = await planVariants(variants, findings, keyring);
  const signed = new Map<string, Promise<Buffer>>();
  const sources: Message[] = [];
  const stripped = new Map<string, Message>();
  const sourceOf = (strip: Strip | null): Message => {
    const key = JSON.stringify(strip);
    const made = stripped.get(key) ?? withoutSteering(message, strip);
    stripped.set(key, made);
    if (!sources.includes(made)) sources.push(made);
    return made;
  };
  const signedAs = (
    source: Message,
    form: 'clear' | 'opaque',
    header: HeaderProtection | null,
    choice: SignatureChoice | null,
  ): Promise<Buffer> => {
    const key = JSON.stringify([sources.indexOf(source), form, header, choice?.name]);
    const own = messages[0]?.algorithms.own ?? null;
    const made = signed.get(key) ?? sign(source, form, header, choice, own, findings);
    signed.set(key, made);
    return made;
  };
  const prepared: PreparedVariant[] = [];
  for (const { variant, algorithms } of messages) {
    const { recipients, sign: signing, encrypt: encrypting, rule, requireTls } = variant;
    const source = sourceOf(variant.strip);
    const header = headerProtectionOf(variant, source);
    const { signature, encryption } = variantAlgorithms(variant, algorithms);
    const base =
      signing === null ? source.octets : await signedAs(source, innerForm(signing.form), header, signature);
    let make = async (): Promise<Buffer> => base;
    if (encrypting !== null) {
      const encrypted = encryptionFor(encryption, findings.algorithms);
      if (messages.length > 1) await encrypted(REHEARSAL, null);
      // A signature inside has the protected header already: only the innermost payload counts.
      make = () => encrypted(base, signing === null ? header : null);
      // RFC 2634 §1.1: the outer signature covers what is encrypted; what it protects of the header is inside already.
      if (signing?.form === 'triple-wrap') {
        const own = algorithms.own;
        make = async () =>
          sign(readMessage(await encrypted(base, null)), 'clear', null, signature, own, findings);
      }
    }
    prepared.push({
      recipients: recipients.map((index) => at(findings.recipients, index)),
      protection: { signed: signing !== null, encrypted: encrypting !== null },
      ...{ rule, requireTls, make },
    });
  }
  return prepared;
}

export type PlannedVariant = { variant: OutboundVariant; algorithms: AlgorithmFacts };

/**
 * The messages that will leave, each with what its algorithms are chosen by. No key is used.
 *
 * @throws SealgateError where one cannot be made: `key.unavailable`, `cms.no-scheme`
 */
export async function planVariants(
  variants: readonly OutboundVariant[],
  findings: Findings,
  keyring: Keyring,
): Promise<readonly PlannedVariant[]> {
  const encrypts = variants.some(({ encrypt }) => encrypt !== null);
  const own = await ownCertificate(findings, keyring, encrypts, findings.algorithms.postQuantum);
  const algorithms = { ...findings, own, settings: findings.algorithms };
  const planned = sharing(variants).map((variant) => ({ variant, algorithms }));
  const addresses = findings.recipients.map(addressOf);
  for (const one of planned) {
    checkPinned(one.variant, one.algorithms, addresses);
    variantAlgorithms(one.variant, one.algorithms);
  }
  return planned;
}

/**
 * Variants that are not encrypted and signed alike are one message: they go in one transaction, blind copies too, as the
 * client would have sent them. Nothing in such a message names its recipients. Fewer transactions fail less often in part.
 */
function sharing(variants: readonly OutboundVariant[]): readonly OutboundVariant[] {
  const shared: OutboundVariant[] = [];
  for (const variant of variants) {
    const { recipients, encrypt: encrypting, rule } = variant;
    const place = shared.findIndex(
      (other) => encrypting === null && other.encrypt === null && isAlike(variant, other),
    );
    const other = shared[place];
    if (other === undefined) shared.push(variant);
    else {
      const rules = [...new Set([...other.rule.split(', '), ...rule.split(', ')])].join(', ');
      shared[place] = { ...other, recipients: [...other.recipients, ...recipients], rule: rules };
    }
  }
  return shared;
}

/** Whether two variants that are not encrypted are the same octets, and go the same way. */
function isAlike(one: OutboundVariant, other: OutboundVariant): boolean {
  const kind = ({ sign: signing, strip, algorithms, requireTls }: OutboundVariant) =>
    JSON.stringify([signing?.form, strip, algorithms?.signature ?? null, requireTls]);
  return kind(one) === kind(other);
}

function innerForm(form: SignatureForm): 'clear' | 'opaque' {
  return form === 'triple-wrap' ? 'clear' : form;
}

/** How a variant's header is protected (RFC 9788): with whatever else is. */
function headerProtectionOf(
  { sign: signing, encrypt: encrypting }: OutboundVariant,
  message: Message,
): HeaderProtection | null {
  // What somebody has signed or packed is not changed, and it is in there that a reader would look.
  if (recognise(message) !== 'none') return null;
  if (encrypting !== null) {
    return { kind: 'cipher', confidentiality: encrypting.subject === 'protect' ? 'baseline' : 'none' };
  }
  return signing === null ? null : { kind: 'clear' };
}

/** Encrypted and thrown away, it shows that all recipients' keys can be used. */
const REHEARSAL = Buffer.from('Content-Type: text/plain\r\n\r\n\r\n');

async function sign(
  message: Message,
  form: 'clear' | 'opaque',
  headerProtection: HeaderProtection | null,
  choice: SignatureChoice | null,
  own: OwnCertificate | null,
  findings: Findings,
): Promise<Buffer> {
  if (findings.signingKey === null || choice === null) throw broken('decided to sign without a key');
  try {
    return await signMessage(message, findings.signingKey, {
      form,
      headerProtection,
      scheme: choice.scheme,
      at: findings.at,
      // Nobody is told to use what the sender's key cannot open.
      capabilities: own?.readsOaep === false ? ownCapabilitiesWithoutOaep : ownCapabilities,
      ...(own === null ? {} : { encryptionCertificate: own.certificate }),
    });
  } catch (error) {
    throw notSigned(error, findings.from);
  }
}

/** What a key says, with the address it was to sign for: a sender may have several. */
function notSigned(error: unknown, from: string | null): unknown {
  if (!(error instanceof SealgateError) || !error.code.startsWith('key.')) return error;
  const { code, duration, publicText, reason } = error;
  return new SealgateError({
    ...{ code, duration, cause: error },
    publicText: `The mail from ${from ?? 'you'} could not be signed and was not sent. ${publicText}`,
    ...(reason === null ? {} : { reason }),
  });
}

function encryptionFor(
  choice: EncryptionChoice | null,
  { postQuantum }: AlgorithmSettings,
): (octets: Buffer, header: HeaderProtection | null) => Promise<Buffer> {
  if (choice === null) throw broken('decided to encrypt and found no way to');
  const { contentEncryption, recipients, boundKey } = choice;
  const all = recipients.map(({ request }) => request);
  return (octets, headerProtection) =>
    encryptMessage(octets, all, contentEncryption, { headerProtection, postQuantum, boundKey });
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw broken(`no item ${index} of ${items.length}`);
  return item;
}

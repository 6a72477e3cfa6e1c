import type { SigningKey } from '../cms/keys.ts';
import type { MailId } from '../ids.ts';
import type { Entity } from '../mail/entity.ts';
import type { HeaderProtection } from '../mail/header-protection.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import type { HeldVariant, OutboundDecision, OutboundVariant } from '../policy/decide-outbound.ts';
import type { SignatureForm, SubjectConfidentiality } from '../policy/rules.ts';
import type { AlgorithmSettings, EncryptionChoice } from '../smime/algorithm-choice.ts';
import { HeldSpools } from '../smime/held-spools.ts';
import { recognise } from '../smime/recognise.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { sourceOf } from './outgoing-message.ts';
import { ownCertificate } from './own-certificate.ts';
import { checkPinned, checkPinnedWaiting } from './pinned.ts';
import type { Keyring, Principal, RevocationStanding, Variant } from './ports.ts';
import { type Encrypt, encryptionBy, type Workplace } from './protecting.ts';
import { addressOf, type RecipientCertificates } from './recipient-certificates.ts';
import type { SignedForms } from './signed-forms.ts';
import { type AlgorithmFacts, broken, variantAlgorithms, waitingSignature } from './variant-algorithms.ts';

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
  /** Names of the rules that said so; null: none was asked. */
  rule: string | null;
  /** Archives that get a copy. */
  appendTo: readonly string[];
  /** It cannot be made for now: it comes last, so that the others have theirs, and `make` says why. */
  deferred?: true;
  /** The message. Throws only what could not be foreseen. */
  make: () => Promise<OctetSource>;
  /** Frees what `make` has put into spools, once the message is not read any more. Never rejects. Absent: nothing. */
  discard?: () => Promise<void>;
};

/**
 * Prepares the message of each variant. The message is signed once for each form, scheme and way in which its header is
 * protected (what is hidden outside is said inside), and shared: recipients of alike variants get the same signature, and
 * the key is used once for them. Encrypted messages are made one at a time, when they are handed over: a mail with
 * a hundred blind copies is a hundred messages, which must not be in memory together, or on the disk.
 *
 * Must never happen: a variant that was decided protected and is not; a part of the variants has gone when it shows
 * that another cannot be made. What cannot be done throws here, before anything is handed over.
 *
 * @param spool where encrypted messages are that are too long for memory
 */
export async function prepareVariants(
  planned: readonly PlannedVariant[],
  forms: SignedForms,
  findings: Findings,
  spool: Spool,
): Promise<PreparedVariant[]> {
  const prepared: PreparedVariant[] = [];
  for (const { variant, algorithms } of planned) {
    const { recipients, sign: signing, encrypt: encrypting, rule, requireTls, appendTo } = variant;
    const source = forms.source(variant.strip);
    const header = headerProtectionOf(variant, source);
    const { signature, encryption } = variantAlgorithms(variant, algorithms);
    const base =
      signing === null
        ? sourceOf(source)
        : await forms.signed(source, innerForm(signing.form), header, signature);
    let make = async (): Promise<OctetSource> => base;
    // Short mail pays for none.
    const made = forms.kind === 'in-memory' || encrypting === null ? null : new HeldSpools(spool);
    if (encrypting !== null) {
      const encryptedBy = encryptionFor(encryption, findings.algorithms);
      if (planned.length > 1) await encryptedBy(IN_MEMORY)(REHEARSAL, null);
      const encrypted = encryptedBy(made === null ? IN_MEMORY : { kind: 'in-spool', spool: made });
      // A signature inside has the protected header already: only the innermost payload counts.
      make = () => encrypted(base, signing === null ? header : null);
      // RFC 2634 §1.1: the outer signature covers what is encrypted; what it protects of the header is inside already.
      if (signing?.form === 'triple-wrap') {
        make = async () =>
          forms.sign(await forms.alike(await encrypted(base, null)), 'clear', null, signature);
      }
    }
    prepared.push({
      recipients: recipients.map((index) => at(findings.recipients, index)),
      protection: { signed: signing !== null, encrypted: encrypting !== null },
      ...{ rule, requireTls, appendTo, make },
      ...(made === null ? {} : { discard: () => made.discard().catch(() => undefined) }),
    });
  }
  return prepared;
}

export type PlannedVariant = { variant: OutboundVariant; algorithms: AlgorithmFacts };

/** What will leave and what will wait. */
export type PlannedMessages = {
  variants: readonly PlannedVariant[];
  held: readonly HeldVariant[];
  /** What the algorithms are chosen by. */
  algorithms: AlgorithmFacts;
};

/**
 * The messages that will leave or wait, each with what its algorithms are chosen by. No key is used.
 *
 * @throws SealgateError where one cannot be made: `key.unavailable`, `cms.no-scheme`
 */
export async function planMessages(
  { variants, held }: Pick<Extract<OutboundDecision, { kind: 'deliver' }>, 'variants' | 'held'>,
  findings: Findings,
  keyring: Keyring,
): Promise<PlannedMessages> {
  const encrypts = held.length > 0 || variants.some(({ encrypt }) => encrypt !== null);
  const own = await ownCertificate(findings, keyring, encrypts, findings.algorithms.postQuantum);
  const algorithms = { ...findings, own, settings: findings.algorithms };
  const planned = sharing(variants).map((variant) => ({ variant, algorithms }));
  const addresses = findings.recipients.map(addressOf);
  for (const one of planned) {
    checkPinned(one.variant, one.algorithms, addresses);
    variantAlgorithms(one.variant, one.algorithms);
  }
  for (const one of held) {
    checkPinnedWaiting(one, algorithms);
    waitingSignature(one, algorithms);
  }
  return { variants: planned, held, algorithms };
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
      const appendTo = [...new Set([...other.appendTo, ...variant.appendTo])];
      shared[place] = { ...other, recipients: [...other.recipients, ...recipients], rule: rules, appendTo };
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
export function headerProtectionOf(
  {
    sign: signing,
    encrypt: encrypting,
  }: { sign: unknown; encrypt: { subject: SubjectConfidentiality } | null },
  message: { root: Entity },
): HeaderProtection | null {
  // What somebody has signed or packed is not changed, and it is in there that a reader would look.
  if (recognise(message) !== 'none') return null;
  if (encrypting !== null) {
    return { kind: 'cipher', confidentiality: encrypting.subject === 'protect' ? 'baseline' : 'none' };
  }
  return signing === null ? null : { kind: 'clear' };
}

const IN_MEMORY: Workplace = { kind: 'in-memory' };

/** Encrypted and thrown away, it shows that all recipients' keys can be used. */
const REHEARSAL = bufferSource(Buffer.from('Content-Type: text/plain\r\n\r\n\r\n'));

function encryptionFor(
  choice: EncryptionChoice | null,
  { postQuantum }: AlgorithmSettings,
): (where: Workplace) => Encrypt {
  if (choice === null) throw broken('decided to encrypt and found no way to');
  return (where) => encryptionBy(choice, postQuantum, where);
}

export function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw broken(`no item ${index} of ${items.length}`);
  return item;
}

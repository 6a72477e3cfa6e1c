import type { SigningKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import type { Message } from '../mail/message.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateEncrypt } from '../pki/key-purpose.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import type { OutboundVariant } from '../policy/decide-outbound.ts';
import type { SignatureForm } from '../policy/rules.ts';
import { chooseContentEncryption, ownCapabilities } from '../smime/capabilities.ts';
import { encryptMessage } from '../smime/encrypt.ts';
import { signMessage } from '../smime/sign.ts';
import type { Recipient } from '../smtp/envelope.ts';
import type { Keyring, KnownCertificate, Principal, Variant } from './ports.ts';
import type { RecipientCertificates } from './recipient-certificates.ts';

export type Findings = {
  mail: MailId;
  principal: Principal;
  recipients: readonly Recipient[];
  /** In the order of `recipients`. */
  certificates: readonly RecipientCertificates[];
  signingKey: SigningKey | null;
  from: string | null;
  at: Date;
};

/** A variant whose message is made when its turn comes. */
export type PreparedVariant = Omit<Variant, 'octets'> & {
  /** Names of the rules that said so. */
  rule: string;
  /** The message. Throws only what could not be foreseen. */
  make: () => Promise<Buffer>;
};

/**
 * Prepares the message of each variant. The message is signed once for each form and shared: all recipients get the same
 * signature, and the key is used once. Encrypted messages are made one at a time, when they are handed over: a mail with
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
  const own = await ownCertificate(
    findings,
    keyring,
    variants.some(({ encrypt }) => encrypt !== null),
  );
  const signed = new Map<SignatureForm, Promise<Buffer>>();
  const signedAs = (form: SignatureForm): Promise<Buffer> => {
    const made = signed.get(form) ?? sign(message, form, own, findings);
    signed.set(form, made);
    return made;
  };
  const messages = sharing(variants);
  const prepared: PreparedVariant[] = [];
  for (const { recipients, sign: signing, encrypt: encrypting, rule } of messages) {
    const base = signing === null ? message.octets : await signedAs(signing.form);
    let make = async (): Promise<Buffer> => base;
    if (encrypting !== null) {
      const encryption = encryptionFor(recipients, encrypting.certificates, own, findings);
      if (messages.length > 1) await encryption(REHEARSAL);
      make = () => encryption(base);
    }
    prepared.push({
      recipients: recipients.map((index) => at(findings.recipients, index)),
      protection: { signed: signing !== null, encrypted: encrypting !== null },
      rule,
      make,
    });
  }
  return prepared;
}

/**
 * Variants that are not encrypted and signed alike are one message: they go in one transaction, blind copies too, as the
 * client would have sent them. Nothing in such a message names its recipients. Fewer transactions fail less often in part.
 */
function sharing(variants: readonly OutboundVariant[]): readonly OutboundVariant[] {
  const shared: OutboundVariant[] = [];
  for (const variant of variants) {
    const { recipients, sign: signing, encrypt: encrypting, rule } = variant;
    const place = shared.findIndex(
      (other) => encrypting === null && other.encrypt === null && other.sign?.form === signing?.form,
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

/** Encrypted and thrown away, it shows that all recipients' keys can be used. */
const REHEARSAL = Buffer.from('Content-Type: text/plain\r\n\r\n\r\n');

async function sign(
  message: Message,
  form: SignatureForm,
  own: Certificate | null,
  findings: Findings,
): Promise<Buffer> {
  if (findings.signingKey === null) throw broken('decided to sign without a key');
  return signMessage(message, findings.signingKey, {
    form,
    at: findings.at,
    capabilities: ownCapabilities,
    ...(own === null ? {} : { encryptionCertificate: own }),
  });
}

function encryptionFor(
  recipients: readonly number[],
  choices: readonly number[],
  own: Certificate | null,
  { certificates }: Findings,
): (octets: Buffer) => Promise<Buffer> {
  if (choices.length !== recipients.length) throw broken('decided to encrypt to only some of the recipients');
  const chosen = recipients.map((index, place): KnownCertificate => {
    const known = at(certificates, index);
    if (known.kind !== 'usable') throw broken('decided to encrypt without a certificate');
    return at(known.certificates, at(choices, place));
  });
  const algorithm = chooseContentEncryption(chosen.map(({ capabilities }) => capabilities));
  const readers = chosen.map(({ certificate }) => certificate);
  // The sender's own copy can be read too; without a certificate of hers it is encrypted to the recipients alone.
  const all = (own === null ? readers : [...readers, own]).map((certificate) => ({ certificate }));
  return (octets) => encryptMessage(octets, all, algorithm);
}

/**
 * The sender's newest certificate that others may encrypt to. For a signature alone it is a courtesy (replies can use
 * it), so a token that is away does not stop the mail; an encrypted mail must be readable for its sender.
 */
async function ownCertificate(
  { mail, principal, from, at: now }: Findings,
  keyring: Keyring,
  needed: boolean,
): Promise<Certificate | null> {
  if (from === null) return null;
  const certificates = await keyring.decryptionKeys(principal, mail).then(
    (keys) => keys.map(({ certificate }) => certificate),
    (error: unknown) => {
      if (needed || !(error instanceof SealgateError)) throw error;
      return [];
    },
  );
  const usable = certificates.filter(
    (certificate) => mayCertificateEncrypt(certificate, now).kind === 'may' && speaksFor(certificate, from),
  );
  usable.sort((one, other) => other.notBefore.getTime() - one.notBefore.getTime());
  return usable[0] ?? null;
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw broken(`no item ${index} of ${items.length}`);
  return item;
}

/** The decision and what it rests on do not fit together: a defect, and never a reason to send. */
function broken(reason: string): SealgateError {
  return new SealgateError({
    code: 'gateway.defect',
    duration: 'temporary',
    publicText:
      'The gateway could not protect this message as its rules say; it was not sent. Please try again later.',
    reason,
  });
}

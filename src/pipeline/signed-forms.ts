import { SealgateError } from '../errors.ts';
import type { HeaderProtection } from '../mail/header-protection.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Strip } from '../policy/steering.ts';
import type { SignatureChoice } from '../smime/algorithm-choice.ts';
import { ownCapabilities, ownCapabilitiesWithoutOaep } from '../smime/capabilities.ts';
import { type OutgoingMessage, readOutgoing } from './outgoing-message.ts';
import type { OwnCertificate } from './ports.ts';
import type { Findings } from './protect.ts';
import { signOutgoing } from './protecting.ts';
import { broken } from './variant-algorithms.ts';
import { withoutSteering } from './without-steering.ts';

/**
 * One mail in the forms in which it is signed: once for each form, scheme and way in which its header is protected (what is hidden outside
 * is said inside), and shared: recipients of alike variants get the same signature, and the key is used once for them.
 */
export class SignedForms {
  readonly #message: OutgoingMessage;
  readonly #findings: Findings;
  readonly #own: OwnCertificate | null;
  readonly #stripped = new Map<string, OutgoingMessage>();
  readonly #sources: OutgoingMessage[] = [];
  readonly #signed = new Map<string, Promise<OctetSource>>();

  /** @param own the sender's certificate; null: none */
  constructor(message: OutgoingMessage, findings: Findings, own: OwnCertificate | null) {
    this.#message = message;
    this.#findings = findings;
    this.#own = own;
  }

  get kind(): OutgoingMessage['kind'] {
    return this.#message.kind;
  }

  /** Another message, worked on as this one is. */
  alike(octets: OctetSource): Promise<OutgoingMessage> {
    return readOutgoing(octets, this.kind === 'in-memory' ? octets.length : 0);
  }

  /** The mail without what its rule takes out. */
  source(strip: Strip | null): OutgoingMessage {
    const key = JSON.stringify(strip);
    const made = this.#stripped.get(key) ?? withoutSteering(this.#message, strip);
    this.#stripped.set(key, made);
    if (!this.#sources.includes(made)) this.#sources.push(made);
    return made;
  }

  /** @param source of `source` */
  signed(
    source: OutgoingMessage,
    form: 'clear' | 'opaque',
    header: HeaderProtection | null,
    choice: SignatureChoice | null,
  ): Promise<OctetSource> {
    const key = JSON.stringify([this.#sources.indexOf(source), form, header, choice?.name]);
    const made = this.#signed.get(key) ?? this.sign(source, form, header, choice);
    this.#signed.set(key, made);
    return made;
  }

  /** Anything else in the sender's name. */
  async sign(
    message: OutgoingMessage,
    form: 'clear' | 'opaque',
    headerProtection: HeaderProtection | null,
    choice: SignatureChoice | null,
  ): Promise<OctetSource> {
    const { signingKey, at, from } = this.#findings;
    if (signingKey === null || choice === null) throw broken('decided to sign without a key');
    const own = this.#own;
    try {
      return await signOutgoing(message, signingKey, {
        ...{ form, headerProtection, scheme: choice.scheme, at },
        // Nobody is told to use what the sender's key cannot open.
        capabilities: own?.readsOaep === false ? ownCapabilitiesWithoutOaep : ownCapabilities,
        ...(own === null ? {} : { encryptionCertificate: own.certificate }),
      });
    } catch (error) {
      throw notSigned(error, from);
    }
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

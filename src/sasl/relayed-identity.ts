import { canonicalLogin } from './canonical-login.ts';
import { MALFORMED, NO_IDENTITY, ON_BEHALF, type SaslRefusal } from './credentials.ts';
import type { Mechanism } from './mechanism.ts';

/**
 * Mechanisms in which the password never travels. They are passed on between client and upstream as they are, where an administrator
 * permits it; what is read of them is whose login they are.
 *
 * Not among them: mechanisms of which that cannot be read (GSSAPI, NTLM, EXTERNAL), or depends on what the server makes of it
 * (the realm of DIGEST-MD5): nobody could say whose keys a session may use. Nor those with channel binding (SCRAM-…-PLUS): they
 * bind the login to one TLS connection, and there are two.
 */
export type RelayedMechanism = (typeof RELAYED_MECHANISMS)[number];

export const RELAYED_MECHANISMS = ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'CRAM-MD5'] as const;

/** Whether it is one of them. */
export function isRelayed(mechanism: Mechanism | RelayedMechanism): mechanism is RelayedMechanism {
  return RELAYED_MECHANISMS.some((each) => each === mechanism);
}

/** Whose login was relayed. It counts when the upstream has accepted the login, and not before. */
export type RelayedIdentity = { kind: 'relayed'; mechanism: RelayedMechanism; login: string };

/** Whether the client speaks first; in CRAM-MD5 the server does. */
export function clientSpeaksFirst(mechanism: RelayedMechanism): boolean {
  return mechanism !== 'CRAM-MD5';
}

/** The identity in the client's first message. */
export function readRelayedIdentity(
  mechanism: RelayedMechanism,
  message: Buffer,
): RelayedIdentity | SaslRefusal {
  const read = mechanism === 'CRAM-MD5' ? cramLogin(message) : scramLogin(message);
  return typeof read === 'string' ? { kind: 'relayed', mechanism, login: read } : read;
}

/**
 * RFC 5802 §7:
 *
 *   client-first-message      = gs2-cbind-flag "," [ "a=" saslname ] "," client-first-message-bare
 *   client-first-message-bare = [reserved-mext ","] "n=" saslname "," "r=" c-nonce ["," extensions]
 *
 * No channel binding (`p=`), no mandatory extension (`m=`), and no other authorization identity than the user. No extension under the
 * name of an attribute that §5.1 gives a meaning: a server that looks attributes up by name would take another user from it.
 */
function scramLogin(message: Buffer): string | SaslRefusal {
  const text = message.toString('latin1');
  const found =
    /^[ny],(?:a=([^,\0]+))?,n=([^,\0]+),r=[\x21-\x2b\x2d-\x7e]+(?:,(?![aceimnprsvACEIMNPRSV]=)[A-Za-z]=[^,\0]+)*$/.exec(
      text,
    );
  if (found === null) return /^[ny],,n=,/.test(text) ? NO_IDENTITY : MALFORMED;
  const [, onBehalf, user = ''] = found;
  const login = saslName(user);
  if (login === null) return MALFORMED;
  if (onBehalf !== undefined && saslName(onBehalf) !== login) return ON_BEHALF;
  return login;
}

/** saslname: "=2C" and "=3D" stand for "," and "="; no other use of "=" is valid. */
function saslName(text: string): string | null {
  if (/=(?!2C|3D)/.test(text)) return null;
  return canonicalLogin(Buffer.from(text.replaceAll('=2C', ',').replaceAll('=3D', '='), 'latin1'));
}

/** RFC 2195 §2: the user name, a space, and the digest of 16 octets in lower-case hexadecimal. */
function cramLogin(message: Buffer): string | SaslRefusal {
  const found = /^([^\0]+) [0-9a-f]{32}$/s.exec(message.toString('latin1'));
  if (found === null) return MALFORMED;
  return canonicalLogin(Buffer.from(found[1] ?? '', 'latin1')) ?? MALFORMED;
}

/** An exchange in which the password does not travel. `first`: the client's first message, where it speaks first. */
export type RelayedExchange = { kind: 'relayed'; mechanism: RelayedMechanism; first: Buffer | null };

/** Whose login an exchange is: it stands in the first thing that the client says, and nothing that it says later changes it. */
export class RelayedLogin {
  readonly #mechanism: RelayedMechanism;
  #identity: RelayedIdentity | null = null;

  constructor(mechanism: RelayedMechanism) {
    this.#mechanism = mechanism;
  }

  /** null: the client has not said it. */
  get identity(): RelayedIdentity | null {
    return this.#identity;
  }

  /** Hears what the client says; a refusal: it must not go on. */
  hear(message: Buffer): SaslRefusal | null {
    if (this.#identity !== null) return null;
    const read = readRelayedIdentity(this.#mechanism, message);
    if (read.kind === 'refused') return read;
    this.#identity = read;
    return null;
  }
}

import type { Principal } from './principal.ts';
import type { RelayedMechanism } from './relayed-identity.ts';

/** What a conversation before login goes by, in whatever protocol: IMAP's “not authenticated” (RFC 9051 §3.1), POP3's AUTHORIZATION (RFC 1939 §4). */
export type BeforeLogin = {
  /** STARTTLS (POP3: STLS) is offered here. */
  startTls: boolean;
  /** The connection is encrypted, or need not be. */
  loginAllowed: boolean;
  hostname: string;
  /** Whether to greet: not after STARTTLS (RFC 2595 §4). */
  greet: boolean;
  /** Mechanisms that may be relayed, see relayed-identity.ts. */
  relayMechanisms: readonly RelayedMechanism[];
  /** What a login name ends with that asks for mail as it is stored; null: nothing does. */
  rawLoginSuffix: string | null;
};

/** How it ended. */
export type LoginOutcome =
  | {
      kind: 'logged-in';
      principal: Principal;
      mechanism: string;
      /** Mail as it is stored was asked for: no key may be used. */
      asStored: boolean;
    }
  | { kind: 'start-tls' }
  | { kind: 'closed'; cause: string };

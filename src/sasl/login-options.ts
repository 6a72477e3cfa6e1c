import type { RelayedMechanism } from './relayed-identity.ts';

/** What a listener for reading mail is told of logins. */
export type LoginOptions = {
  /** Logins in which the password does not travel, passed on as they are. Default: none. */
  relayMechanisms?: readonly RelayedMechanism[];
  /** What a login name ends with that asks for mail as it is stored. Default: nothing does. */
  rawLoginSuffix?: string | null;
};

import type { FailedLogins } from './failed-logins.ts';
import type { HandshakePlaces } from './handshake-places.ts';

/** What bounds one client by its address. */
export type ClientGuard = {
  /** Does a TLS handshake as soon as there is a place for it. */
  handshake<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Resolves with true when a login may be tried, which may take some seconds; with false when it is refused for now.
   *
   * @param said login and secret, which are not kept; null: they are not known
   */
  mayLogIn(said: string | null, signal?: AbortSignal): Promise<boolean>;
  /**
   * The mail server has refused it; or the client went before it had its verdict, who has guessed all the same: right ones are answered at
   * once, wrong ones late, so that whoever goes in time would guess uncounted.
   */
  loginFailed(said: string | null): void;
  loginAccepted(said: string | null): void;
};

/** For clients that nothing bounds. */
export const UNGUARDED: ClientGuard = {
  handshake: (work) => work(),
  mayLogIn: () => Promise.resolve(true),
  loginFailed: () => undefined,
  loginAccepted: () => undefined,
};

/** @param address in the form of an `Endpoint` */
export function guardOf(address: string, handshakes: HandshakePlaces, failures: FailedLogins): ClientGuard {
  return {
    handshake: (work) => handshakes.within(address, work),
    mayLogIn: (said, signal = NEVER) => failures.mayTry(address, said, signal),
    loginFailed: (said) => failures.failed(address, said),
    loginAccepted: (said) => failures.accepted(address, said),
  };
}

const NEVER = new AbortController().signal;

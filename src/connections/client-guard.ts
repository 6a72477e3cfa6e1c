import type { FailedLogins } from './failed-logins.ts';
import type { HandshakePlaces } from './handshake-places.ts';

/** What bounds one client by its address. */
export type ClientGuard = {
  /** Does a TLS handshake as soon as there is a place for it. */
  handshake<T>(work: () => Promise<T>): Promise<T>;
  /** Resolves with true when a login may be tried, which may take some seconds; with false when it is refused for now. */
  mayLogIn(signal?: AbortSignal): Promise<boolean>;
  /** @param said login and secret, which are not kept; null: they are not known */
  loginFailed(said: string | null): void;
};

/** For clients that nothing bounds. */
export const UNGUARDED: ClientGuard = {
  handshake: (work) => work(),
  mayLogIn: () => Promise.resolve(true),
  loginFailed: () => undefined,
};

/** @param address in the form of an `Endpoint` */
export function guardOf(address: string, handshakes: HandshakePlaces, failures: FailedLogins): ClientGuard {
  return {
    handshake: (work) => handshakes.within(address, work),
    mayLogIn: (signal = NEVER) => failures.mayTry(address, signal),
    loginFailed: (said) => failures.failed(address, said),
  };
}

const NEVER = new AbortController().signal;

import type { Credentials } from './credentials.ts';
import { principalLogin } from './principal-login.ts';
import type { RelayedIdentity } from './relayed-identity.ts';

/**
 * Who has logged in. Keys are handed out for one of these and for nothing else, so what makes one decides whose keys are used.
 *
 * Holds: an object of this type was made by one of the two functions below; a text, or an object that merely looks like it,
 * is none, for the compiler and for `is` alike. A test holds who calls them.
 */
export class Principal {
  /** As keys, addresses and rules are looked up: canonical, compared exactly. */
  readonly login: string;
  readonly #made = true;

  private constructor(login: string) {
    this.login = login;
    Object.freeze(this);
  }

  /** For a login whose credentials the upstream has just accepted, and for no other. */
  static proven(credentials: Credentials | RelayedIdentity): Principal {
    return new Principal(principalLogin(credentials));
  }

  /** For a login that an administrator has named, in a listener's `assumeLogin` or on the command line. */
  static named(login: string): Principal {
    return new Principal(login);
  }

  /** Whether the value was made by one of them, whatever the compiler was told. */
  static is(value: unknown): value is Principal {
    return typeof value === 'object' && value !== null && #made in value && value.#made;
  }
}

import { Principal } from '../../src/sasl/principal.ts';

/** Somebody who has logged in under this name. */
export function principalNamed(login: string): Principal {
  return Principal.named(login);
}

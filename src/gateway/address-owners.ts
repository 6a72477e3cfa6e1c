import type { Config } from '../config/load.ts';
import { canonicalAddress } from '../hsm/canonical-address.ts';
import { sourceOf } from '../hsm/key-reference.ts';
import { Principal } from '../sasl/principal.ts';

/** Whose address it is, by the entries under `principals`: for mail that comes without a login. */
export class AddressOwners {
  /** Of mail of which nobody knows whose it is: no login is called so, so that it has no address and no key. */
  readonly nobody = Principal.named('');
  readonly #exactly = new Map<string, Principal[]>();
  readonly #readers = new Map<string, Set<Principal>>();

  constructor({ principals, keys }: Pick<Config, 'principals' | 'keys'>) {
    const opening = new Set(keys.filter(({ use }) => use !== 'sign').map(({ name }) => name));
    for (const { login, addresses, keys: own } of principals.list) {
      const principal = Principal.named(login);
      const reads = own.some((key) => opening.has(sourceOf(key)));
      for (const written of [...addresses, ...(principals.loginIsAddress ? [login] : [])]) {
        const address = canonicalAddress(written);
        if (address === null) continue;
        const owners = this.#exactly.get(address) ?? [];
        if (!owners.includes(principal)) this.#exactly.set(address, [...owners, principal]);
        if (!reads) continue;
        const folded = address.toLowerCase();
        this.#readers.set(folded, (this.#readers.get(folded) ?? new Set()).add(principal));
      }
    }
  }

  /** Who writes from it: of several logins the first, as they stand in the configuration. null: nobody. */
  ownerOf(address: string): Principal | null {
    const canonical = canonicalAddress(address);
    return (canonical === null ? null : this.#exactly.get(canonical)?.[0]) ?? null;
  }

  /** Whose keys may open what is sent to it. Servers do not tell letter case apart before the @, and neither is it here. */
  readersOf(address: string): readonly Principal[] {
    const canonical = canonicalAddress(address);
    return canonical === null ? [] : [...(this.#readers.get(canonical.toLowerCase()) ?? [])];
  }
}

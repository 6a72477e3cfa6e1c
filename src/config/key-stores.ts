import type * as z from 'zod';
import type { KeySource, SecretSource, SoftwareSource, TokenSource } from '../hsm/source-kinds.ts';

/** `keys[].unlock` with `{ key }` names another entry of `keys`; here it becomes the token that this entry is. */

type StorePlace = Extract<SoftwareSource, { kind: 'store' }>;
type WrittenStore = Omit<StorePlace, 'unlock'> & { unlock: SecretSource | { key: string } };
type WrittenPlace = TokenSource | Exclude<SoftwareSource, StorePlace> | WrittenStore;

type Written = Omit<KeySource, 'places'> & { shared: boolean; places: readonly WrittenPlace[] };

/** A KeySource; `shared` is for the checks between settings. */
export type ConfiguredKey = KeySource & { shared: boolean };

export function resolveUnlocking(
  keys: readonly Written[],
  context: Pick<z.core.$RefinementCtx, 'addIssue'>,
): ConfiguredKey[] {
  return keys.map((key, i) => ({
    ...key,
    places: key.places.flatMap((place): KeySource['places'] => {
      if (place.kind !== 'store') return [place];
      const { unlock } = place;
      if (!('key' in unlock)) return [{ ...place, unlock }];
      const opener = openerOf(unlock.key, keys);
      if (typeof opener !== 'string') return [{ ...place, unlock: opener }];
      context.addIssue({ code: 'custom', path: [i, 'unlock', 'key'], message: opener });
      return [];
    }),
  }));
}

/** A sentence: what is wrong. */
function openerOf(reference: string, keys: readonly Written[]) {
  const slash = reference.indexOf('/');
  const name = slash < 0 ? reference : reference.slice(0, slash);
  const named = keys.find((key) => key.name === name);
  if (named === undefined) return `there is no key of the name ${name}`;
  const [token, ...more] = named.places;
  if (token?.kind !== 'token' || token.removable) {
    return `${name} is not of kind: pkcs11, and only a key on a token that is always there opens a key store`;
  }
  if (more.length > 0) return `${name} is several tokens: name one of them by an entry of its own`;
  if (named.use === 'sign') return `${name} says use: sign, and a key that decrypts is needed`;
  return { token, label: slash < 0 ? null : reference.slice(slash + 1) };
}

import type { DecryptionKey, SigningKey } from '../../src/cms/keys.ts';
import type { LiveKeys } from '../../src/hsm/keyring.ts';
import type { KnownKey } from '../../src/hsm/known-key.ts';

/**
 * Keys for a keyring that need no key process: always there, never changing. A label `hsm/carol` is the key `carol` of the
 * source `hsm`.
 */
export function liveKeys(
  signing: readonly SigningKey[],
  decryption: readonly DecryptionKey[] = [],
  known: Partial<Pick<KnownKey, 'standing' | 'use'>> = {},
): LiveKeys {
  const withKnown = <Key extends { label: string }>(key: Key): Key & KnownKey => {
    const [source = '', ...rest] = key.label.split('/');
    const more: KnownKey = { standing: 'open', use: null, ...known, source, name: rest.join('/') };
    // Methods stay those of the key: its private fields are not on the new object.
    return new Proxy(key, {
      get(target, property) {
        if (property in more) return Reflect.get(more, property);
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    }) as Key & KnownKey;
  };
  const all = { signing: signing.map(withKnown), decryption: decryption.map(withKnown) };
  const names = new Set([...all.signing, ...all.decryption].map(({ source }) => source));
  return {
    ...all,
    former: [],
    formerDecryption: [],
    version: 0,
    unseen: new Map(),
    status: [...names].map((name) => ({ name, places: [] })),
    onChange: () => undefined,
  };
}

import { SealgateError } from '../errors.ts';
import type { KeySources } from './key-sources.ts';

/**
 * How the configuration names keys: `source` for all keys of a source, `source/label` for those that the token or file calls
 * so, exactly. Names of sources have no slash; labels may.
 */

/**
 * `token` names every key of the source `token`, `token/alice` those that the token calls `alice` and not `alice/2`. What log
 * lines show names exactly that key.
 */
export function isNamed(key: { source: string; name: string; label: string }, reference: string): boolean {
  if (key.label === reference) return true;
  const slash = reference.indexOf('/');
  if (slash < 0) return key.source === reference;
  return key.source === reference.slice(0, slash) && key.name === reference.slice(slash + 1);
}

/** The source that a reference speaks of. */
export function sourceOf(reference: string): string {
  const slash = reference.indexOf('/');
  return slash < 0 ? reference : reference.slice(0, slash);
}

type Named = { login: string; keys: readonly string[] };
type Keys = Pick<KeySources, 'signing' | 'decryption' | 'status' | 'unseen'>;

/** References of a login to keys that are not there, of sources that were seen. */
export function unknownNames({ keys: names }: Named, { signing, decryption, unseen }: Keys): string[] {
  return names.filter(
    (name) =>
      !unseen.has(sourceOf(name)) &&
      !signing.some((key) => isNamed(key, name)) &&
      !decryption.some((key) => isNamed(key, name)),
  );
}

/**
 * At the start: a name that nothing has, and that no card to come can have, is a slip of the pen.
 *
 * @throws SealgateError `key.unknown-name`
 */
export function requireKnownNames(principal: Named, keys: Keys): void {
  for (const name of unknownNames(principal, keys)) {
    const source = keys.status.find((each) => each.name === sourceOf(name));
    if (source?.places.some(({ changes }) => changes) === true) continue;
    throw new SealgateError({
      code: 'key.unknown-name',
      publicText: `The login ${principal.login} is given the key ${name}, and there is none of that name; correct the name, or put the key and its certificate where the configuration says.`,
      duration: 'permanent',
    });
  }
}

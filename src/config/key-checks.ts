import { isDeepStrictEqual } from 'node:util';
import { unreachable } from '../errors.ts';
import type { KeySource, TokenSource } from '../hsm/source-kinds.ts';
import type { CrossProblem } from './cross-checks.ts';
import type { ConfiguredKey } from './key-stores.ts';

/** What is wrong between the entries of `keys`, and who may have which key. */

type Place = KeySource['places'][number];

/** @param references every key that a login or the gateway itself is given; null: not known, because principals or queue have faults of their own */
export function keyChecks(
  keys: readonly ConfiguredKey[],
  references: readonly string[] | null,
): CrossProblem[] {
  const problems: CrossProblem[] = [];
  for (const [i, key] of keys.entries()) {
    const path = ['keys', i];
    if (references !== null && !isUsed(key, keys, references)) {
      problems.push({ path, severity: 'warning', text: 'no login may use this key' });
    }
    for (const place of key.places) {
      if (place.kind === 'token') problems.push(...cardPinChecks(place, path));
    }
    for (const [j, earlier] of keys.slice(0, i).entries())
      problems.push(...samePlaceChecks(key, earlier, i, j));
  }
  return [...problems, ...consoleChecks(keys)];
}

/** Whether a login has it, or a key store is opened by it. */
function isUsed(key: ConfiguredKey, keys: readonly ConfiguredKey[], references: readonly string[]): boolean {
  if (references.some((reference) => sourceOf(reference) === key.name)) return true;
  return keys.some(({ places }) =>
    places.some(
      (place) => place.kind === 'store' && 'token' in place.unlock && key.places.includes(place.unlock.token),
    ),
  );
}

/** A PIN that nobody types would go to whatever card somebody puts into the reader, until that is blocked. */
function cardPinChecks({ removable, pin, token }: TokenSource, path: CrossProblem['path']): CrossProblem[] {
  if (!removable || 'ask' in pin || token.label !== null || token.serial !== null) return [];
  const text =
    'a PIN that nobody types needs token or serial: it would be sent to whatever card is in the reader';
  return [{ path: [...path, 'pin'], severity: 'error', text }];
}

/** Two entries for one place would be two names for one key, and what is said about one would not hold for the other. */
function samePlaceChecks(key: ConfiguredKey, earlier: ConfiguredKey, i: number, j: number): CrossProblem[] {
  const path = ['keys', i];
  for (const place of key.places) {
    for (const other of earlier.places) {
      if (!meets(place, other)) continue;
      if (
        place.kind === 'token' &&
        place.removable &&
        (isAnyToken(place) || isAnyToken(other as TokenSource))
      ) {
        const text = `keys[${j}] takes the same cards: say by token, serial or reader which card is whose`;
        return [{ path, severity: 'error', text }];
      }
      const text = isCard(place)
        ? `keys[${j}] may be the same card: a login that has one of them has the keys of the other. Say the serial number in both`
        : `keys[${j}] is the same: a login that has one of them has the keys of the other`;
      return [{ path, severity: 'warning', text }];
    }
  }
  return [];
}

function meets(one: Place, other: Place): boolean {
  switch (one.kind) {
    case 'token':
      return other.kind === 'token' && one.module === other.module && sameKeys(one, other);
    case 'pkcs12':
      return other.kind === 'pkcs12' && one.file === other.file;
    case 'pem':
      return other.kind === 'pem' && one.key === other.key;
    case 'store':
      return other.kind === 'store' && one.folder === other.folder;
    default:
      return unreachable(one);
  }
}

/**
 * Whether one of them fits whatever the other one fits: an absent word fits everything. Of cards it is enough that one card may fit
 * both: which one is in the reader tomorrow is not written here.
 */
function sameKeys(one: TokenSource, other: TokenSource): boolean {
  if (!isDeepStrictEqual(one.environment, other.environment) || one.initArgs !== other.initArgs) return false;
  const words = (place: TokenSource) => Object.entries({ ...place.token, ...place.objects });
  const covers = (wide: TokenSource, narrow: TokenSource) => {
    const narrowWords = new Map(words(narrow));
    return words(wide).every(([name, word]) => word === null || narrowWords.get(name) === word);
  };
  if (covers(one, other) || covers(other, one)) return true;
  if (!one.removable || !other.removable) return false;
  const otherWords = new Map(words(other));
  return words(one).every(([name, word]) => {
    const opposite = otherWords.get(name) ?? null;
    return word === null || opposite === null || word === opposite;
  });
}

function isCard(place: Place): boolean {
  return place.kind === 'token' && place.removable;
}

function isAnyToken({ token }: TokenSource): boolean {
  return Object.values(token).every((word) => word === null);
}

/** Two prompts on one terminal would each get half of what is typed. */
function consoleChecks(keys: readonly ConfiguredKey[]): CrossProblem[] {
  const asking = keys.flatMap(({ places }, i) =>
    places.flatMap((place) =>
      place.kind === 'token' && 'ask' in place.pin && place.pin.ask === 'console' ? [i] : [],
    ),
  );
  const [first, second] = asking;
  if (first === undefined || second === undefined) return [];
  const text = `keys[${first}] asks on the terminal already, and it can ask for one PIN only: say ask: pinentry`;
  return [{ path: ['keys', second, 'pin'], severity: 'error', text }];
}

/** A reference to an entry of `keys` that is not there. */
export function unknownKey(
  reference: string,
  keys: readonly ConfiguredKey[] | undefined,
  path: CrossProblem['path'],
): CrossProblem[] {
  const name = sourceOf(reference);
  if (keys === undefined || keys.some((key) => key.name === name)) return [];
  const known = keys.length === 0 ? 'keys is empty' : `keys has ${keys.map((key) => key.name).join(', ')}`;
  return [{ path, severity: 'error', text: `there is no key of the name ${name}: ${known}` }];
}

/** `hsm` of `hsm/alice`. */
export function sourceOf(reference: string): string {
  return reference.split('/', 1)[0] ?? reference;
}

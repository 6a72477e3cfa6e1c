import { SealgateError } from '../errors.ts';
import type { Inventory, KeyDescription } from './inventory.ts';
import type { KeyPlace } from './key-state.ts';
import { type KeyStanding, nearestFirst } from './known-key.ts';
import type { Operation } from './operation.ts';
import type { WatchedPlace } from './watched-place.ts';

type Holder = { at: WatchedPlace; descriptions: readonly KeyDescription[] };

/**
 * One private key, wherever it is: several tokens of one source may hold it. The least loaded one that is there serves, and
 * another one stands in where that fails; a token that has lost the key is passed over.
 *
 * Holds: each place is tried once for a request, and none after one has refused it: what a key does not allow here it does
 * not allow there.
 */
export class HeldKey {
  /** As in Operation. */
  readonly key: string;
  readonly #places: readonly WatchedPlace[];

  constructor(key: string, places: readonly WatchedPlace[]) {
    this.key = key;
    this.#places = places;
  }

  /** Of the nearest place that holds it. */
  get standing(): KeyStanding {
    return (
      this.#holders()
        .map(({ at }) => at)
        .sort(nearestFirst)[0]?.standing ?? 'away'
    );
  }

  /**
   * @param label for the sentence of a failure
   * @param isAble whether a place's key does this at all
   * @returns the answer, and the place that gave it
   * @throws SealgateError as `KeyPlace.perform`; of several failures the first
   */
  async perform(
    operation: Operation,
    label: string,
    isAble: (description: KeyDescription) => boolean,
  ): Promise<{ octets: Buffer; place: KeyPlace }> {
    const [only, another] = this.#places;
    if (only !== undefined && another === undefined) {
      if (!descriptionsOf(only.inventory, this.key).some(isAble)) throw gone(label);
      return { octets: await only.place.perform(operation), place: only.place };
    }
    const able = this.#holders()
      .filter(({ descriptions }) => descriptions.some(isAble))
      .map(({ at }) => ({ standing: at.standing, load: at.place.load, place: at.place }))
      .sort((one, other) => nearestFirst(one, other) || one.load - other.load);
    let failure: SealgateError | null = null;
    for (const { place } of able) {
      try {
        return { octets: await place.perform(operation), place };
      } catch (error) {
        if (!(error instanceof SealgateError) || !concernsPlace(error)) throw error;
        failure ??= error;
      }
    }
    throw failure ?? gone(label);
  }

  /** Whether a place has it from a file: such a one signs messages, and no digest that was made elsewhere. */
  get isInFile(): boolean {
    return this.#holders().some(({ at }) => at.inventory?.token === null);
  }

  /** CKA_ALWAYS_AUTHENTICATE at one of the places: its reader may ask a person at every use. */
  get wantsPinEachTime(): boolean {
    return this.#holders().some(({ descriptions }) =>
      descriptions.some(({ alwaysAuthenticate }) => alwaysAuthenticate),
    );
  }

  #holders(): Holder[] {
    return this.#places.flatMap((at) => {
      const descriptions = descriptionsOf(at.inventory, this.key);
      return descriptions.length === 0 ? [] : [{ at, descriptions }];
    });
  }
}

/** A place may have thousands of keys, and each mail asks for one of them. */
const byKey = new WeakMap<Inventory, ReadonlyMap<string, readonly KeyDescription[]>>();

function descriptionsOf(inventory: Inventory | null, key: string): readonly KeyDescription[] {
  if (inventory === null) return [];
  let known = byKey.get(inventory);
  if (known === undefined) {
    known = Map.groupBy(inventory.keys, (description) => description.key);
    byKey.set(inventory, known);
  }
  return known.get(key) ?? [];
}

/** Away, or its PIN not known: another token with the same key is as good. Everything else concerns the request. */
function concernsPlace({ code }: SealgateError): boolean {
  return code === 'key.unavailable' || code.startsWith('key.pin-');
}

/** Handed out before the token was changed for another. Whoever asks again is told what there is now. */
function gone(label: string): SealgateError {
  return new SealgateError({
    code: 'key.unavailable',
    publicText: `The key ${label} is no longer on the token that is there now; insert the one that has it.`,
    duration: 'temporary',
  });
}

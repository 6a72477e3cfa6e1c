import { errorOf, unavailable } from './failures.ts';
import type { Inventory } from './inventory.ts';
import type { KeyPlace } from './key-state.ts';

/** A token as it is remembered, without a key process: for commands that say what would happen and use no key. */
export function restingPlace(inventory: Inventory): KeyPlace {
  return {
    state: { kind: 'locked', inventory },
    settled: Promise.resolve(),
    load: 0,
    processId: null,
    generation: 0,
    onChange: () => undefined,
    perform: () =>
      Promise.reject(errorOf(unavailable('This command uses no key.', 'a remembered token was used', false))),
    reload: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

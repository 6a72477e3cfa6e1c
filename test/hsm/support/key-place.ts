import { writeFileSync } from 'node:fs';
import { KeyClient } from '../../../src/hsm/client/key-client.ts';
import type { KeyClientOptions } from '../../../src/hsm/client/key-client-options.ts';
import type { Inventory } from '../../../src/hsm/inventory.ts';
import type { KeyPlace, KeyState, Refusals } from '../../../src/hsm/key-state.ts';
import type { Operation } from '../../../src/hsm/operation.ts';
import type { SoftwareSource, TokenSource } from '../../../src/hsm/source-kinds.ts';
import type { Event } from '../../../src/log/events.ts';
import type { Authority } from './authority.ts';
import { present } from './key-behaviour.ts';
import { softhsmModule } from './softhsm.ts';

/** A place of keys with its key process, as tests start it. */

export class RememberedRefusals implements Refusals {
  readonly identities = new Set<string>();

  has(identity: string): boolean {
    return this.identities.has(identity);
  }

  add(identity: string): void {
    this.identities.add(identity);
  }
}

export type PlaceChanges = Partial<Omit<KeyClientOptions, 'place'>> & { events?: Event[] };

export function startPlace(place: TokenSource | SoftwareSource, changes: PlaceChanges = {}): KeyClient {
  const { events = [], ...options } = changes;
  return KeyClient.start({
    source: 'keys',
    place,
    refusals: new RememberedRefusals(),
    log: { write: (event) => events.push(event) },
    ...options,
    times: { restart: 1, ...options.times },
  });
}

/** Runs `use` with a place whose first opening has ended, and closes it. */
export async function withPlace<T>(
  place: TokenSource | SoftwareSource,
  changes: PlaceChanges,
  use: (client: KeyClient) => Promise<T>,
): Promise<T> {
  const client = startPlace(place, changes);
  try {
    await client.settled;
    return await use(client);
  } finally {
    await client.close();
  }
}

/** A token of SoftHSM2 with its PIN in a file. */
export function tokenPlace(
  label: string,
  pinFile: string,
  environment: Readonly<Record<string, string>>,
  changes: Partial<TokenSource> = {},
): TokenSource {
  return {
    kind: 'token',
    module: softhsmModule,
    environment,
    token: { label, serial: null, model: null, manufacturer: null, reader: null },
    objects: { object: null, id: null },
    pin: { file: pinFile },
    removable: false,
    sessions: 4,
    certificates: [],
    ...changes,
  };
}

/** Path of a file with a secret, closed to others. */
export function secretFile(authority: Authority, name: string, secret: string): string {
  const path = authority.path(name);
  writeFileSync(path, `${secret}\n`, { mode: 0o600 });
  return path;
}

/** Waits until the place stands so. */
export async function untilState<K extends KeyState['kind']>(
  place: KeyPlace,
  kind: K,
): Promise<KeyState & { kind: K }> {
  const { promise, resolve } = Promise.withResolvers<KeyState & { kind: K }>();
  const look = (): void => {
    if (place.state.kind === kind) resolve(place.state as KeyState & { kind: K });
  };
  place.onChange(look);
  look();
  return await promise;
}

export function inventoryOf(place: KeyPlace): Inventory {
  const { state } = place;
  if (state.kind !== 'open' && state.kind !== 'locked') {
    const why = 'failure' in state ? `: ${state.failure.publicText} (${state.failure.reason})` : '';
    throw new Error(`the place is ${state.kind}${why}`);
  }
  return state.inventory;
}

/** Signs with the first key that has such a scheme. */
export function signing(place: KeyPlace, text = 'hello'): Operation {
  const key = present(inventoryOf(place).keys.find(({ schemes }) => schemes.length > 0));
  return {
    kind: 'sign',
    key: key.key,
    scheme: present(key.schemes[0]),
    input: 'message',
    data: Buffer.from(text),
  };
}

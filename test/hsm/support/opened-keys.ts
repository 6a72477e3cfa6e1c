import { KeyClient } from '../../../src/hsm/client/key-client.ts';
import type { Inventory, KeyDescription } from '../../../src/hsm/inventory.ts';
import { type KeySources, openKeySources, type PlaceToStart } from '../../../src/hsm/key-sources.ts';
import type { KeyPlace, Refusals } from '../../../src/hsm/key-state.ts';
import type { SoftwareSource, TokenSource } from '../../../src/hsm/source-kinds.ts';
import { silentLog } from '../../../src/log/log.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';
import type { TestToken } from '../../support/services/test-token.ts';
import type { KeyUnderTest } from './key-under-test.ts';
import { present } from './refusal.ts';
import type { Workbench } from './workbench.ts';

/** The keys of one place, as the gateway has them: opened as sources are, each use by the key process. */
export type OpenedKeys = {
  place: KeyPlace;
  sources: KeySources;
  /** By the label in the inventory. */
  key(label: string): KeyUnderTest;
  /** The first one. */
  only(): KeyUnderTest;
  close(): Promise<void>;
};

export async function openKeys(place: TokenSource | SoftwareSource, bench: Workbench): Promise<OpenedKeys> {
  const started: KeyPlace[] = [];
  const startPlace = (start: PlaceToStart): KeyPlace => {
    const client = startKeyClient(start);
    started.push(client);
    return client;
  };
  const source = { name: 'place', use: 'sign-and-decrypt', usesPerMinute: null, places: [place] } as const;
  const sources = await openKeySources([source], { log: silentLog, startPlace, awaitRemovable: true });
  const client = present(started[0]);
  const keyUnderTest = (description: KeyDescription): KeyUnderTest => {
    const isIt = (key: { certificate: Certificate }): boolean =>
      key.certificate.der.equals(description.certificate);
    return {
      place: client,
      description,
      inToken: inventoryOf(client).token !== null,
      signing: sources.signing.find(isIt) ?? null,
      decryption: sources.decryption.find(isIt) ?? null,
      bench,
    };
  };
  return {
    place: client,
    sources,
    key: (label) => keyUnderTest(present(inventoryOf(client).keys.find((each) => each.label === label))),
    only: () => keyUnderTest(present(inventoryOf(client).keys[0])),
    close: () => sources.close(),
  };
}

function inventoryOf({ state }: KeyPlace): Inventory {
  if (state.kind !== 'open') throw new Error(`the place is not open: ${JSON.stringify(state)}`);
  return state.inventory;
}

/** A place's key process; PINs that were refused are remembered as long as the test lives. */
export function startKeyClient({ source, place, log, refusals }: PlaceToStart): KeyClient {
  return KeyClient.start({ source, place, log, refusals: refusals ?? forgetful() });
}

function forgetful(): Refusals {
  const refused = new Set<string>();
  return {
    has: (identity) => refused.has(identity),
    add: (identity) => void refused.add(identity),
  };
}

const ANY = { label: null, serial: null, model: null, manufacturer: null, reader: null };

/** @param pinFile with the PIN in its only line, mode 0600 */
export function tokenSource(
  token: Pick<TestToken, 'module' | 'env' | 'initArgs' | 'tokenLabel'>,
  pinFile: string,
  changes: Partial<TokenSource> = {},
): TokenSource {
  return {
    kind: 'token',
    module: token.module,
    environment: token.env,
    ...(token.initArgs === undefined ? {} : { initArgs: token.initArgs }),
    token: { ...ANY, label: token.tokenLabel },
    objects: { object: null, id: null },
    pin: { file: pinFile },
    removable: false,
    sessions: 4,
    certificates: [],
    ...changes,
  };
}

import { unreachable } from '../errors.ts';
import type { Inventory } from './inventory.ts';
import type { KeyState } from './key-state.ts';
import type { SoftwareSource, TokenSource } from './source-kinds.ts';
import type { WatchedPlace } from './watched-place.ts';

/** How the places of one source stand, for people. */
export type SourceStatus = {
  name: string;
  places: readonly PlaceStatus[];
};

export type PlaceStatus = {
  kind: (TokenSource | SoftwareSource)['kind'];
  state: KeyState['kind'];
  /** Whether it may come, go and change while the gateway runs: a card, a key store. */
  changes: boolean;
  /** Where it is: the token's label, or the file or folder. */
  place: string;
  /** Name of the reader with the token in it; null: no token, or a file. */
  reader: string | null;
  /** How many keys it holds, or held when it was there last. null: never seen. */
  keys: number | null;
  /** How it stands and what to do, whole. */
  sentence: string;
};

export function placeStatus(watched: WatchedPlace): PlaceStatus {
  const { spec, inventory, place } = watched;
  const { state } = place;
  const where = placeName(spec, inventory);
  const token = state.kind === 'open' || state.kind === 'locked' ? state.inventory.token : null;
  return {
    kind: spec.kind,
    changes: spec.kind === 'store' || (spec.kind === 'token' && spec.removable),
    state: state.kind,
    place: where,
    reader: token?.reader ?? null,
    keys: inventory?.keys.length ?? null,
    sentence: sentenceOf(state, where),
  };
}

/** The token by its label, as far as one is known; a file by its path. */
export function placeName(spec: TokenSource | SoftwareSource, inventory: Inventory | null): string {
  switch (spec.kind) {
    case 'pkcs12':
      return spec.file;
    case 'pem':
      return spec.key;
    case 'store':
      return spec.folder;
    case 'token': {
      const { label, serial, model, manufacturer, reader } = spec.token;
      const asked = label ?? serial ?? model ?? manufacturer ?? reader ?? spec.module;
      return inventory?.token?.label ?? asked;
    }
    default:
      return unreachable(spec);
  }
}

function sentenceOf(state: KeyState, where: string): string {
  switch (state.kind) {
    case 'starting':
      return `${where} is being opened.`;
    case 'open':
      return `${where} is open.`;
    case 'locked':
      return `${where} is there; the PIN is asked for when a key is used.`;
    case 'absent':
    case 'refused':
      return state.failure.publicText;
    case 'closed':
      return `${where} is closed.`;
    default:
      return unreachable(state);
  }
}

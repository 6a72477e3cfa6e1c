import { unreachable } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Inventory } from './inventory.ts';
import type { KeyPlace } from './key-state.ts';
import type { KeyStanding } from './known-key.ts';
import {
  formerAfter,
  inventoryText,
  placeIdentity,
  type RememberedInventories,
  readRemembered,
  writeRemembered,
} from './remembered-inventory.ts';
import type { SoftwareSource, TokenSource } from './source-kinds.ts';

export type WatchedPlaceOptions = {
  /** Name of the source in the configuration. */
  source: string;
  spec: TokenSource | SoftwareSource;
  log: Log;
  remembered: RememberedInventories | null;
  /** Starts the key process. Called once, after what is remembered was read. */
  start(remembered: Inventory | null): KeyPlace;
  /** The inventory is another one. */
  onInventory(): void;
};

/**
 * One place of keys over its whole life: what it holds stays known while it is away, tells of insertion and removal, and is
 * written down for the next start.
 */
export class WatchedPlace {
  readonly source: string;
  readonly spec: TokenSource | SoftwareSource;
  readonly place: KeyPlace;
  readonly #options: WatchedPlaceOptions;
  #inventory: Inventory | null;
  #former: readonly Inventory[];
  #written: string | null;
  #isThere = false;
  #writing: Promise<void> = Promise.resolve();

  private constructor(options: WatchedPlaceOptions, remembered: string | null) {
    this.#options = options;
    this.source = options.source;
    this.spec = options.spec;
    const known = remembered === null ? null : readRemembered(remembered);
    this.#inventory = known?.inventory ?? null;
    this.#former = known?.former ?? [];
    this.#written = known === null ? null : remembered;
    this.place = options.start(this.#inventory);
    this.place.onChange(() => this.#look());
    this.#look();
  }

  static async start(options: WatchedPlaceOptions): Promise<WatchedPlace> {
    return new WatchedPlace(options, await remembered(options));
  }

  /** What it holds, or held when it was there last. null: nobody has ever seen it. */
  get inventory(): Inventory | null {
    return this.#inventory;
  }

  /** Of other cards that were in its place before, the latest first. */
  get former(): readonly Inventory[] {
    return this.#former;
  }

  get standing(): KeyStanding {
    const { state } = this.place;
    switch (state.kind) {
      case 'open':
        // Requests wait while a process that has died is replaced; another place may serve them at once.
        return this.place.processId === null ? 'starting' : 'open';
      case 'starting':
      case 'locked':
        return state.kind;
      case 'absent':
      case 'refused':
      case 'closed':
        return 'away';
      default:
        return unreachable(state);
    }
  }

  /** Waits until the inventory is written down as well. */
  async close(): Promise<void> {
    await this.place.close();
    await this.#writing;
  }

  #look(): void {
    this.#tellOfToken();
    const seen = inventoryOf(this.place);
    const before = this.#inventory;
    if (seen === null || seen === before || (before !== null && isPartOf(seen, before))) return;
    this.#inventory = seen;
    const { spec } = this.#options;
    if (spec.kind === 'token' && spec.removable) this.#former = formerAfter(before, this.#former, seen);
    const isOther = before === null || inventoryText(before) !== inventoryText(seen);
    if (isOther) this.#options.onInventory();
    const text = writeRemembered({ inventory: seen, former: this.#former });
    this.#writing = this.#writing.then(() => this.#remember(text));
  }

  #tellOfToken(): void {
    const { state } = this.place;
    if (state.kind === 'starting' || state.kind === 'closed') return;
    const { log, source } = this.#options;
    const isThere = state.kind === 'open' || state.kind === 'locked';
    const token = (inventoryOf(this.place) ?? this.#inventory)?.token ?? null;
    if (isThere && !this.#isThere && token !== null) {
      const { label, reader } = token;
      log.write({ event: 'key.token-inserted', level: 'info', source, token: label, reader });
    }
    if (state.kind === 'absent' && this.#isThere && token !== null) {
      const { reason } = state.failure;
      log.write({ event: 'key.token-removed', level: 'warn', source, token: token.label, reason });
    }
    this.#isThere = isThere;
  }

  async #remember(text: string): Promise<void> {
    const { spec, source, remembered, log } = this.#options;
    if (spec.kind !== 'token' || remembered === null || text === this.#written) return;
    try {
      await remembered.write(placeIdentity(source, spec), text);
      this.#written = text;
    } catch (error) {
      const reason = String(error);
      log.write({ event: 'key.inventory-not-remembered', level: 'warn', source, reason });
    }
  }
}

/**
 * Whether a token shows before login no more than what is known from after one. Then that stays known: a key, or a certificate
 * that only its owner sees, must not be gone for as long as nobody has typed the PIN.
 */
function isPartOf(seen: Inventory, known: Inventory): boolean {
  if (seen.seen !== 'before-login' || known.seen !== 'after-login') return false;
  if (seen.token === null || seen.token.serial !== known.token?.serial) return false;
  const certificates = new Set(known.certificates.map((der) => Buffer.from(der).toString('base64')));
  return seen.certificates.every((der) => certificates.has(Buffer.from(der).toString('base64')));
}

async function remembered({ spec, source, remembered, log }: WatchedPlaceOptions): Promise<string | null> {
  if (spec.kind !== 'token' || remembered === null) return null;
  try {
    return await remembered.read(placeIdentity(source, spec));
  } catch (error) {
    const reason = String(error);
    log.write({ event: 'key.inventory-not-remembered', level: 'warn', source, reason });
    return null;
  }
}

function inventoryOf({ state }: KeyPlace): Inventory | null {
  switch (state.kind) {
    case 'locked':
    case 'open':
      return state.inventory;
    case 'absent':
    case 'refused':
      return state.last;
    case 'starting':
    case 'closed':
      return null;
    default:
      return unreachable(state);
  }
}

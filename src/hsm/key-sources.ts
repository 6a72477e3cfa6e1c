import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../pipeline/ports.ts';
import { CarefulRefusals } from './careful-refusals.ts';
import { KeyClient } from './client/key-client.ts';
import { errorOf, unavailable } from './failures.ts';
import type { Inventory } from './inventory.ts';
import type { KeyPlace, Refusals } from './key-state.ts';
import type { KnownDecryptionKey, KnownSigningKey } from './known-key.ts';
import { placeName, placeStatus, type SourceStatus } from './place-status.ts';
import { RateLimit } from './rate-limit.ts';
import type { RememberedInventories } from './remembered-inventory.ts';
import {
  type FormerKey,
  formerDecryptionKeys,
  formerSigningKeys,
  type SourceKeys,
  sourceKeys,
} from './source-keys.ts';
import type { KeySource, SoftwareSource, TokenSource } from './source-kinds.ts';
import { WatchedPlace } from './watched-place.ts';

/** Every key of every source, as of now: cards come and go, files change. Those of a card that is out are among them. */
export interface KeySources {
  readonly signing: readonly KnownSigningKey[];
  readonly decryption: readonly KnownDecryptionKey[];
  /** What signed from cards in whose place others are now. */
  readonly former: readonly FormerKey[];
  /** What opened mail on such cards: away. */
  readonly formerDecryption: readonly KnownDecryptionKey[];
  /** Grows when the lists change. */
  readonly version: number;
  /** By name, sources whose keys nobody has seen yet; a sentence with the reason and what to do. */
  readonly unseen: ReadonlyMap<string, string>;
  /** In the order of the configuration. */
  readonly status: readonly SourceStatus[];
  /** Called when `version` has grown. */
  onChange(listener: () => void): void;
  /**
   * Reads files and stores again, and tries what is away at once. What cannot be read leaves its keys as they are; what takes
   * longer than half a minute is read on, with `key.reload-slow` as its outcome.
   */
  reload(): Promise<readonly ReloadOutcome[]>;
  /** Logs out of tokens and ends all key processes. */
  close(): Promise<void>;
}

export type ReloadOutcome = {
  source: string;
  place: string;
  /** null: read. */
  error: SealgateError | null;
};

export type PlaceToStart = {
  /** Name of the source. */
  source: string;
  place: TokenSource | SoftwareSource;
  log: Log;
  refusals: Refusals;
  /** What it held when it was there last; null: nobody knows. */
  remembered: Inventory | null;
};

export type KeySourcesOptions = {
  log: Log;
  clock?: Clock;
  /** Whether ML-DSA keys sign; default no. */
  postQuantum?: boolean;
  /** Default: nothing is known of a token before it is there. */
  remembered?: RememberedInventories | null;
  /** Default: PINs that were refused are known as long as the process lives. */
  refusals?: Refusals | null;
  /** Also wait for what is removable, as a command does that ends after one use. Default no. */
  awaitRemovable?: boolean;
  /** Ends the opening; what was started is closed, and the error is `key.unavailable`. */
  signal?: AbortSignal;
  /** Default: a key process each. */
  startPlace?(place: PlaceToStart): KeyPlace;
};

/** Beyond this a place is read on, and nobody waits for it. Milliseconds. */
const RELOAD_MS = 30_000;

/** A key process for the place. */
export function startKeyClient({ source, place, log, refusals, remembered }: PlaceToStart): KeyPlace {
  return KeyClient.start({ source, place, log, refusals, remembered });
}

/**
 * Starts a key process for each place. A token that is removable may be out; of a source's other places one at least has to be
 * there, because an operator who reads the sentence now is better off than a user who is refused later.
 *
 * @throws SealgateError of the place: `key.pin-incorrect`, `key.token-absent`, `key.passphrase-incorrect`,
 *   `key.file-unreadable` …; `key.useless` for files without a key that signs or decrypts. Nothing is left running then
 */
export async function openKeySources(
  sources: readonly KeySource[],
  options: KeySourcesOptions,
): Promise<KeySources> {
  const opened = new LiveKeySources(sources, options);
  const { signal } = options;
  // A place that is closed is waited for no longer: its start may wait for a person.
  const abort = (): void => void opened.close();
  signal?.addEventListener('abort', abort);
  try {
    await opened.open();
    if (signal?.aborted === true) throw errorOf(unavailable('The keys were not opened.', 'stopped', false));
    return opened;
  } catch (error) {
    await opened.close();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

type OpenSource = {
  source: KeySource;
  places: WatchedPlace[];
  /** By key: they outlive the lists. */
  limits: Map<string, RateLimit>;
};

class LiveKeySources implements KeySources {
  readonly #sources: readonly OpenSource[];
  readonly #options: KeySourcesOptions;
  readonly #listeners: (() => void)[] = [];
  #keys: SourceKeys = { signing: [], decryption: [] };
  #former: readonly FormerKey[] = [];
  #formerDecryption: readonly KnownDecryptionKey[] = [];
  #version = 0;
  #isOpen = false;

  constructor(sources: readonly KeySource[], options: KeySourcesOptions) {
    this.#options = options;
    this.#sources = sources.map((source) => ({ source, places: [], limits: new Map() }));
  }

  async open(): Promise<void> {
    const { log, remembered = null, refusals: kept = null, awaitRemovable = false } = this.#options;
    const { startPlace = startKeyClient } = this.#options;
    const careful = new CarefulRefusals(kept, log);
    const started = await Promise.allSettled(
      this.#sources.flatMap(({ source: { name: source, places: specs }, places }) => {
        return specs.map(async (spec, index) => {
          places[index] = await WatchedPlace.start({
            ...{ source, spec, log, remembered },
            start(known) {
              const refusals = careful.ofPlace(source);
              const place = startPlace({ source, place: spec, log, refusals, remembered: known });
              place.onChange(() => refusals.stands(place.state.kind));
              return place;
            },
            onInventory: () => this.#changed(),
          });
        });
      }),
    );
    for (const one of started) if (one.status === 'rejected') throw one.reason;
    if (this.#isStopped()) return;
    for (const { places } of this.#sources) {
      for (const { spec, place } of places) if (awaitRemovable || !isRemovable(spec)) await place.settled;
    }
    if (this.#isStopped()) return;
    for (const source of this.#sources) this.#requireUsable(source);
    this.#isOpen = true;
    this.#changed();
  }

  #isStopped(): boolean {
    return this.#options.signal?.aborted === true;
  }

  get signing(): readonly KnownSigningKey[] {
    return this.#keys.signing;
  }

  get decryption(): readonly KnownDecryptionKey[] {
    return this.#keys.decryption;
  }

  get former(): readonly FormerKey[] {
    return this.#former;
  }

  get formerDecryption(): readonly KnownDecryptionKey[] {
    return this.#formerDecryption;
  }

  get version(): number {
    return this.#version;
  }

  get unseen(): ReadonlyMap<string, string> {
    const unseen = this.#sources.filter(({ places }) => places.every(({ inventory }) => inventory === null));
    return new Map(unseen.map(({ source: { name }, places }) => [name, unseenSentence(name, places)]));
  }

  get status(): readonly SourceStatus[] {
    return this.#sources.map(({ source: { name }, places }) => ({ name, places: places.map(placeStatus) }));
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async reload(): Promise<readonly ReloadOutcome[]> {
    const all = this.#sources.flatMap(({ places }) => places);
    return await Promise.all(all.map((place) => this.#reload(place)));
  }

  async close(): Promise<void> {
    await Promise.all(this.#sources.flatMap(({ places }) => places.map((place) => place.close())));
  }

  async #reload({ source, spec, place, inventory }: WatchedPlace): Promise<ReloadOutcome> {
    const { log } = this.#options;
    const outcome = { source, place: placeName(spec, inventory) };
    try {
      await inTime(place.reload(), outcome.place);
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      const { code, reason, publicText } = error;
      log.write({
        ...{ event: 'key.reload-failed', level: 'warn', source, code },
        reason: reason === null ? publicText : `${publicText} (${reason})`,
      });
      return { ...outcome, error };
    }
    // Of a card that is out nothing was read.
    if (place.state.kind === 'open') {
      const keys = place.state.inventory.keys.length;
      log.write({ event: 'key.reloaded', level: 'info', source, keys });
    }
    return { ...outcome, error: null };
  }

  /** Nothing is told while the places are being opened: half of the keys would look like all of them. */
  #changed(): void {
    if (!this.#isOpen) return;
    const { clock = () => new Date(), postQuantum = false } = this.#options;
    const options = this.#sources.map(({ source, places, limits }) => ({
      ...{ source, places, postQuantum },
      limitOf(key: string): RateLimit | null {
        if (source.usesPerMinute === null) return null;
        const limit = limits.get(key) ?? new RateLimit(source.usesPerMinute, clock);
        limits.set(key, limit);
        return limit;
      },
    }));
    const keys = options.map(sourceKeys);
    this.#keys = {
      signing: keys.flatMap(({ signing }) => signing),
      decryption: keys.flatMap(({ decryption }) => decryption),
    };
    this.#former = this.#sources.flatMap(({ source, places }) => formerSigningKeys(source, places));
    this.#formerDecryption = options.flatMap(formerDecryptionKeys);
    this.#version++;
    for (const listener of this.#listeners) listener();
  }

  /** What is wrong is told at once; what is merely away, only where nothing else of the source serves. */
  #requireUsable({ source, places }: OpenSource): void {
    const fixed = places.filter(({ spec }) => !isRemovable(spec));
    for (const { place } of fixed) {
      if (place.state.kind === 'refused') throw errorOf(place.state.failure);
    }
    const isServed = places.some(({ place: { state } }) => state.kind === 'open' || state.kind === 'locked');
    for (const { place, spec, inventory } of fixed) {
      if (place.state.kind !== 'absent') continue;
      const { failure } = place.state;
      if (!isServed) throw errorOf(failure);
      const { log } = this.#options;
      log.write({
        ...{ event: 'key.place-absent', level: 'warn', source: source.name },
        ...{ place: placeName(spec, inventory), reason: failure.reason },
      });
    }
    this.#requireUseful(source, places);
  }

  /** A file that gives no key would be a login without one, which is said nowhere else as clearly. */
  #requireUseful(source: KeySource, places: readonly WatchedPlace[]): void {
    if (places.some(({ spec }) => spec.kind === 'token' || spec.kind === 'store')) return;
    const { postQuantum = false } = this.#options;
    const parts = { source, places, limitOf: () => null };
    const count = (withMlDsa: boolean): number => {
      const { signing, decryption } = sourceKeys({ ...parts, postQuantum: withMlDsa });
      return signing.length + decryption.length;
    };
    if (count(postQuantum) === 0) throw useless(source, count(true) > 0);
  }
}

/** A store that is opened by a token may wait for a person; whoever else has new keys must not wait with it. */
async function inTime(reload: Promise<void>, place: string): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const publicText = `${place} is still being read; its keys stay as they are until then.`;
    late.reject(new SealgateError({ code: 'key.reload-slow', publicText, duration: 'temporary' }));
  }, RELOAD_MS);
  try {
    await Promise.race([reload, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function isRemovable(spec: TokenSource | SoftwareSource): boolean {
  return spec.kind === 'token' && spec.removable;
}

function unseenSentence(name: string, places: readonly WatchedPlace[]): string {
  const [first] = places;
  const { state } = first?.place ?? {};
  const why =
    state?.kind === 'absent' || state?.kind === 'refused'
      ? state.failure.publicText
      : 'It is being opened; try again in a moment.';
  return `Nobody has seen the keys of ${name} yet. ${why}`;
}

function useless({ name, use }: KeySource, isPostQuantum: boolean): SealgateError {
  const wanted = { 'sign-and-decrypt': 'signed or encrypted', sign: 'signed', decrypt: 'decrypted' }[use];
  return new SealgateError({
    code: 'key.useless',
    publicText: isPostQuantum
      ? `The key ${name} is for ML-DSA, which signs only with smime.postQuantum: true in the configuration.`
      : `The key ${name} is of a kind that mail is not ${wanted} with; configure another one.`,
    duration: 'permanent',
  });
}

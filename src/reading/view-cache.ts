import { limits } from '../limits.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import type { OpeningKey } from '../pipeline/ports.ts';
import { areThere, type KeyWatch, keyWatch } from './key-watch.ts';
import type { Timers } from './timers.ts';
import type { Found } from './view-making.ts';

/** A view that some session keeps in a spool. */
type Spooled = { octets: number; drop(): void };

/**
 * Views in spools that all sessions keep together: they take room on the disk and a file each. The one that was not asked for the
 * longest time goes first, whoever keeps it.
 */
export class SpooledViews {
  readonly #kept = new Set<Spooled>();
  #octets = 0;

  add(view: Spooled): void {
    this.#kept.add(view);
    this.#octets += view.octets;
    for (const oldest of this.#kept) {
      const fits = this.#kept.size <= limits.view.spooledViews && this.#octets <= limits.view.spooledOctets;
      if (fits || oldest === view) return;
      oldest.drop();
    }
  }

  touch(view: Spooled): void {
    if (this.#kept.delete(view)) this.#kept.add(view);
  }

  remove(view: Spooled): void {
    if (this.#kept.delete(view)) this.#octets -= view.octets;
  }
}

const everySession = new SpooledViews();

/** What is known of a view that was made before anybody has asked for it. */
export type MadeAhead = { sha256: Buffer /** To be told when it is shown. */; found: Found | null };

type Entry = {
  view: MessageView;
  release: () => void;
  spooled: Spooled | null;
  keys: readonly OpeningKey[];
  unwatch: () => void;
  /** null: it was given out. */
  ahead: MadeAhead | null;
};

/** Views that one session has opened a moment ago, for clients that fetch a message in pieces. None outlasts the keys that opened it. */
export class ViewCache {
  readonly #timers: Timers;
  readonly #spooled: SpooledViews;
  readonly #watch: KeyWatch;
  readonly #entries = new Map<string, Entry>();
  #cancel: () => void = () => undefined;
  #ended = false;

  constructor(timers: Timers, spooled: SpooledViews = everySession, watch: KeyWatch = keyWatch) {
    this.#timers = timers;
    this.#spooled = spooled;
    this.#watch = watch;
  }

  /** null for what was made ahead, too: nothing of it may be given out before that is written down. */
  get(key: string): MessageView | null {
    const entry = this.#there(key);
    if (entry === null || entry.ahead !== null) return null;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (entry.spooled !== null) this.#spooled.touch(entry.spooled);
    this.#forgetLater();
    return entry.view;
  }

  /** A view that was made ahead, and not given out. */
  ahead(key: string): { view: MessageView; keys: readonly OpeningKey[]; made: MadeAhead } | null {
    const entry = this.#there(key);
    return entry === null || entry.ahead === null ? null : { ...entry, made: entry.ahead };
  }

  /** From here on it is one that was given out. */
  given(key: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.ahead = null;
  }

  #there(key: string): Entry | null {
    const entry = this.#entries.get(key);
    if (entry === undefined || areThere(entry.keys)) return entry ?? null;
    this.#drop(key);
    return null;
  }

  /** In the place of an earlier one of the same name. `keys`: those that opened it; `ahead`: nothing of it was given out. */
  keep(
    key: string,
    view: MessageView,
    keys: readonly OpeningKey[] = [],
    ahead: MadeAhead | null = null,
  ): void {
    if (this.#ended) return;
    this.#drop(key);
    const inSpool = view.length > limits.view.memoryOctets;
    const spooled = inSpool ? { octets: view.length, drop: () => this.#drop(key) } : null;
    const look = (): void => {
      if (!areThere(keys)) this.#drop(key);
    };
    const unwatch = keys.length === 0 ? () => undefined : this.#watch.watch(look);
    this.#entries.set(key, { view, release: view.hold(), spooled, keys, unwatch, ahead });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= limits.view.cachedViews) break;
      this.#drop(oldest);
    }
    if (spooled !== null) this.#spooled.add(spooled);
    this.#forgetLater();
  }

  /** Whether one more leaves all others where they are. */
  get hasRoom(): boolean {
    return this.#entries.size < limits.view.cachedViews;
  }

  clear(): void {
    for (const key of this.#entries.keys()) this.#drop(key);
    this.#cancel();
  }

  /** Nothing is kept any more. */
  end(): void {
    this.clear();
    this.#ended = true;
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    entry.unwatch();
    if (entry.spooled !== null) this.#spooled.remove(entry.spooled);
    entry.release();
  }

  /** A session that only waits for mail needs none of them. */
  #forgetLater(): void {
    this.#cancel();
    this.#cancel = this.#timers.after(limits.view.cachedMs, () => this.clear());
  }
}

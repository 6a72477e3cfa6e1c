import type { Log } from '../log/log.ts';
import type { KeyState, Refusals } from './key-state.ts';

/** Of one place. */
export interface PlaceRefusals extends Refusals {
  /** The place stands so now: a login that it began is over. */
  stands(state: KeyState['kind']): void;
}

/**
 * Which PINs and passwords were refused, for all places together. What is kept of it may be away: a PIN of which nobody can say
 * whether it was refused before is not sent, and what is refused now stays known in this process whatever becomes of the note.
 *
 * Must never happen: several places that are on one token send it the same wrong PIN. So until one of them was accepted,
 * the others wait for the first one's answer.
 */
export class CarefulRefusals {
  readonly #kept: Refusals | null;
  readonly #log: Log;
  readonly #known = new Set<string>();
  readonly #accepted = new Set<string>();
  /** Secrets on their way, whose they are, and when that is over. */
  readonly #tried = new Map<string, { by: PlaceRefusals; over: PromiseWithResolvers<void> }>();

  /** @param kept null: nothing is kept */
  constructor(kept: Refusals | null, log: Log) {
    this.#kept = kept;
    this.#log = log;
  }

  ofPlace(source: string): PlaceRefusals {
    const place: PlaceRefusals = {
      has: (identity) => this.#has(identity, place, source),
      add: (identity) => this.#add(identity, source),
      stands: (state) => this.#stands(place, state),
    };
    return place;
  }

  async #has(identity: string, place: PlaceRefusals, source: string): Promise<boolean> {
    for (;;) {
      if (this.#known.has(identity)) return true;
      const tried = this.#tried.get(identity);
      if (tried === undefined || tried.by === place || this.#accepted.has(identity)) break;
      await tried.over.promise;
    }
    if (!this.#tried.has(identity)) {
      this.#tried.set(identity, { by: place, over: Promise.withResolvers<void>() });
    }
    const refused = await this.#wasRefused(identity, source);
    if (refused) this.#over(identity, place);
    return refused;
  }

  async #wasRefused(identity: string, source: string): Promise<boolean> {
    try {
      return (await this.#kept?.has(identity)) ?? false;
    } catch (error) {
      this.#tell(source, error);
      return true;
    }
  }

  async #add(identity: string, source: string): Promise<void> {
    this.#known.add(identity);
    this.#accepted.delete(identity);
    try {
      await this.#kept?.add(identity);
    } catch (error) {
      this.#tell(source, error);
    }
  }

  #stands(place: PlaceRefusals, state: KeyState['kind']): void {
    if (state === 'starting' || state === 'locked') return;
    for (const [identity, { by }] of this.#tried) {
      if (by !== place) continue;
      if (state === 'open') this.#accepted.add(identity);
      this.#over(identity, place);
    }
  }

  #over(identity: string, place: PlaceRefusals): void {
    const tried = this.#tried.get(identity);
    if (tried?.by !== place) return;
    this.#tried.delete(identity);
    tried.over.resolve();
  }

  #tell(source: string, error: unknown): void {
    this.#log.write({ event: 'key.refusal-not-noted', level: 'error', source, reason: String(error) });
  }
}

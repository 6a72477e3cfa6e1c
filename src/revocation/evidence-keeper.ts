import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../pipeline/ports.ts';
import {
  type Evidence,
  type EvidenceKind,
  LONGEST_PAUSE_MS,
  memoryOctets,
  parseEvidence,
  refreshTime,
  windowOf,
} from './evidence.ts';
import type { EvidenceFile } from './evidence-file.ts';
import type { Fetched } from './fetch.ts';
import { Turns } from './turns.ts';

/** One thing to be had: a CRL from one place for one issuer, an answer of one responder about one certificate. */
export type Wanted = {
  key: string;
  kind: EvidenceKind;
  /** For people. */
  place: string;
  load: (signal: AbortSignal) => Promise<Fetched>;
  /** Why what came is not worth keeping, for people; null: it is. */
  problem: (evidence: Evidence) => string | null;
};

/** `text` is a whole sentence for people. */
export type Found = { kind: 'found'; evidence: Evidence } | { kind: 'failed'; text: string };

export type KeeperParts = {
  /** null: nothing survives a restart. */
  file: EvidenceFile | null;
  maxAgeMs: number | null;
  clock: Clock;
  log: Log;
  /** A signal that is aborted after so long. Tests abort it themselves. */
  deadline: (ms: number) => AbortSignal;
};

type State = {
  evidence: Evidence | null;
  /** The file was asked. */
  recalled: boolean;
  /** Nothing newer is fetched before. */
  refreshAt: number;
  failures: number;
  failure: string;
  flight: Promise<Found> | null;
  /** Its place went to others while a flight or the file was waited for: what comes is given out and not kept. */
  dropped: boolean;
};

/**
 * Evidence in memory and in the cache file, and the fetches that bring it.
 *
 * Holds: one flight for each key, however many wait for it, which goes on when they stop waiting; a place that failed is
 * left alone for a while, longer each time; evidence that is kept was judged when it came, and is judged again by whoever
 * uses it. An older answer never takes the place of a newer one: whoever sits on the way cannot bring the past back.
 */
export class EvidenceKeeper {
  readonly #parts: KeeperParts;
  readonly #states = new Map<string, State>();
  readonly #turns = new Turns(limits.revocation.fetches, limits.revocation.waiting);
  readonly #closing = new AbortController();
  readonly #flights = new Set<Promise<unknown>>();
  #octets = 0;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
  }

  /** What is kept of it, new or not; null: nothing. Never rejects. */
  async recall({ key, kind, problem }: Wanted): Promise<Evidence | null> {
    const state = this.#state(key);
    if (state.evidence !== null || state.recalled || this.#parts.file === null) return state.evidence;
    const now = this.#parts.clock();
    try {
      const kept = await this.#parts.file.find(key, now);
      if (kept !== null && state.evidence === null) {
        const evidence = parseEvidence(kind, kept.der);
        // The file is a cache that others could have written to: nothing in it is believed for being there.
        if (problem(evidence) === null) this.#remember(state, evidence, kept.fetchedAt);
      }
    } catch (error) {
      this.#cacheFailed(error);
    }
    state.recalled = true;
    return state.evidence;
  }

  /** Whether a fetch would bring something newer, as far as can be told. */
  isDue({ key }: Wanted): boolean {
    const left = this.#state(key).refreshAt - this.#parts.clock().getTime();
    // Longer than any pause is only what was written down before the clock was set back.
    return left <= 0 || left > LONGEST_PAUSE_MS;
  }

  /** Whether the last attempt to fetch it failed, so that what is kept may be older than what is published. */
  hasFailed({ key }: Wanted): boolean {
    return this.#state(key).failures > 0;
  }

  /** Fetches it, or joins the flight that does; within the back-off of a failure, that failure again. Never rejects. */
  fetch(wanted: Wanted): Promise<Found> {
    const state = this.#state(wanted.key);
    if (state.flight !== null) return state.flight;
    if (state.failures > 0 && !this.isDue(wanted)) {
      return Promise.resolve({ kind: 'failed', text: state.failure });
    }
    const flight = this.#fly(wanted, state).finally(() => {
      state.flight = null;
      this.#flights.delete(flight);
    });
    state.flight = flight;
    this.#flights.add(flight);
    return flight;
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    while (this.#flights.size > 0) await Promise.all(this.#flights);
  }

  async #fly(wanted: Wanted, state: State): Promise<Found> {
    const { deadline, clock, log } = this.#parts;
    const signal = AbortSignal.any([deadline(limits.revocation.fetchTimeoutMs), this.#closing.signal]);
    const turn = await this.#turns.take(signal);
    if (turn === null)
      return { kind: 'failed', text: `${wanted.place} was not asked: too many others are waiting.` };
    try {
      const loaded = await wanted.load(signal);
      if (loaded.kind === 'failed') return this.#failed(wanted, state, loaded.text);
      const evidence = parsed(wanted.kind, loaded.octets);
      if (evidence === null) return this.#failed(wanted, state, 'answers with something else.');
      const problem = wanted.problem(evidence);
      if (problem !== null)
        return this.#failed(wanted, state, `gives nothing that can be believed. ${problem}`);
      const now = clock();
      if (!isOlder(evidence, state.evidence)) {
        this.#remember(state, evidence, now);
        this.#keep(wanted.key, loaded.octets, evidence, now);
      } else {
        state.refreshAt = now.getTime() + limits.revocation.backOffMs;
      }
      state.failures = 0;
      log.write({
        event: 'revocation.fetched',
        level: 'debug',
        place: wanted.place,
        kind: wanted.kind,
        octets: loaded.octets.length,
      });
      return { kind: 'found', evidence: state.evidence ?? evidence };
    } catch (error) {
      // Nobody may be waiting for this flight: what nobody foresaw must not end the process.
      const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.write({
        event: 'gateway.defect',
        level: 'error',
        where: 'revocation/evidence-keeper',
        error: trace,
      });
      return this.#failed(wanted, state, 'could not be asked.');
    } finally {
      turn();
    }
  }

  #failed(wanted: Wanted, state: State, text: string): Found {
    const { backOffMs, longestBackOffMs } = limits.revocation;
    const pause = Math.min(backOffMs * 2 ** Math.min(state.failures, 20), longestBackOffMs);
    const now = this.#parts.clock().getTime();
    state.failures++;
    state.refreshAt = now + pause;
    state.failure = `${wanted.place} ${text}`;
    if (!this.#closing.signal.aborted) {
      this.#parts.log.write({
        event: 'revocation.fetch-failed',
        level: 'warn',
        place: wanted.place,
        reason: text,
        again: new Date(state.refreshAt).toISOString(),
      });
    }
    return { kind: 'failed', text: state.failure };
  }

  #remember(state: State, evidence: Evidence, now: Date): void {
    if (state.dropped) {
      state.evidence = evidence;
      return;
    }
    if (state.evidence !== null) this.#octets -= memoryOctets(state.evidence);
    state.evidence = evidence;
    state.recalled = true;
    const window = windowOf(evidence);
    state.refreshAt = window === null ? 0 : refreshTime(window, this.#parts.maxAgeMs, now).getTime();
    this.#octets += memoryOctets(evidence);
    for (const other of this.#states.values()) {
      if (this.#octets <= limits.revocation.memoryOctets) break;
      if (other !== state) this.#forget(other);
    }
  }

  /** It is still in the file. */
  #forget(state: State): void {
    if (state.evidence === null) return;
    this.#octets -= memoryOctets(state.evidence);
    state.evidence = null;
    state.recalled = false;
  }

  /** Nobody waits for the disk but `close`. */
  #keep(key: string, octets: Buffer, evidence: Evidence, now: Date): void {
    if (this.#parts.file === null) return;
    const written = this.#parts.file
      .keep(key, octets, now, windowOf(evidence)?.until ?? now)
      .catch((error: unknown) => this.#cacheFailed(error))
      .finally(() => this.#flights.delete(written));
    this.#flights.add(written);
  }

  #cacheFailed(error: unknown): void {
    this.#parts.log.write({ event: 'revocation.cache-failed', level: 'warn', reason: String(error) });
  }

  /** The order of the map is the order of use. */
  #state(key: string): State {
    const known = this.#states.get(key);
    const state = known ?? {
      ...{
        evidence: null,
        recalled: false,
        refreshAt: 0,
        failures: 0,
        failure: '',
        flight: null,
        dropped: false,
      },
    };
    this.#states.delete(key);
    this.#states.set(key, state);
    if (this.#states.size > limits.revocation.places) {
      const [oldest] = this.#states;
      if (oldest !== undefined) {
        this.#forget(oldest[1]);
        oldest[1].dropped = true;
        this.#states.delete(oldest[0]);
      }
    }
    return state;
  }
}

function parsed(kind: EvidenceKind, octets: Buffer): Evidence | null {
  try {
    return parseEvidence(kind, octets);
  } catch (error) {
    if (error instanceof SealgateError) return null;
    throw error;
  }
}

function isOlder(evidence: Evidence, than: Evidence | null): boolean {
  const mine = windowOf(evidence);
  const theirs = than === null ? null : windowOf(than);
  return mine !== null && theirs !== null && mine.from.getTime() < theirs.from.getTime();
}

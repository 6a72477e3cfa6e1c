import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SealgateError } from '../errors.ts';
import type { Row, Statement } from '../store/sql-store.ts';
import { type Attempted, type AttemptParts, attempt } from './attempt.ts';
import { flushedSince } from './by-hand.ts';
import { fromTheFuture, putOff } from './delivery-rows.ts';
import {
  type Claim,
  claimDue,
  claimsFromTheFuture,
  destinationsOf,
  LEASE_MS,
  nextDue,
  RENEW_MS,
  releaseClaims,
  renew,
} from './leases.ts';
import { type PauseChange, Places, type Turn } from './places.ts';
import type { DeliveryId, Due, DueWork, Place, Way } from './ports.ts';

/** `until`: its claim stands without being renewed, ms; `LOST`: somebody else may have made it its own. */
type UnderWay = { claim: Claim; ended: Promise<void>; until: number };

export type DelivererParts = Omit<AttemptParts, 'insist'> & {
  work: DueWork;
  /** Deliveries that may be under way at once, for one destination. */
  atOnce(place: Place): number;
  /** And in all. */
  most: number;
  /** Of this run of the process, in its claims; absent: by chance. */
  holder?: string;
  /** Nobody else delivers what these rows say: claims that are there are those of a process that has ended. */
  alone: boolean;
};

/** How long after the first failure of the database it is tried again, and how long at most. */
const INSIST_MS = { first: 200, most: 30_000 };
/** So long a mail waits on which the gateway itself failed: it must not keep the others from their turn. */
const PUT_OFF_MS = 3_600_000;
/** Clocks are corrected by seconds all the time. */
const SET_BACK_MS = 60_000;
/** Timers take no more; the work itself says more often that something may be due. */
const LOOK_AGAIN_MS = 60_000;

const LOST = 0;
/** What ends later is not begun any more: a mail server may take a while for its answer to the end of a message. */
const LEFT_MS = 15_000;

const KINDS: readonly Way['kind'][] = ['smtp', 'append'];

/**
 * Delivers what is in the queue when its time comes, until it is stopped.
 *
 * Holds: one delivery is under way once at a time, whoever else delivers from the same rows. What ends badly in a way that nobody foresaw is
 * tried again, and said.
 */
export class Deliverer {
  readonly #parts: DelivererParts;
  /** Of this run of the process, in the rows. */
  readonly holder: string;
  readonly #places: Places;
  readonly #busy = new Map<DeliveryId, UnderWay>();
  readonly #stopping = new AbortController();
  #looking: Promise<void> | null = null;
  #lookAgain = false;
  /** All places are to be looked for. */
  #everywhere = false;
  #started = false;
  #timer: NodeJS.Timeout | null = null;
  #renewing: NodeJS.Timeout | null = null;
  /** The last that was heard of wishes for destinations to be called; null: not looked at yet. */
  #flushedAt: Date | null = null;
  /** The latest that the clock said; null: not asked yet. */
  #latest: Date | null = null;

  constructor(parts: DelivererParts) {
    this.#parts = parts;
    this.holder = parts.holder ?? randomUUID();
    this.#places = new Places(parts.atOnce);
  }

  /** Before this nothing is delivered. */
  start(): void {
    this.#started = true;
    this.#renewing = setInterval(() => void this.#renew(), RENEW_MS);
    this.#parts.work.watch((due) => this.#told(due));
  }

  /** Begins nothing more, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#parts.work.stop();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#looking;
    await Promise.all([...this.#busy.values()].map(({ ended }) => ended));
    if (this.#renewing !== null) clearInterval(this.#renewing);
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  #told(due: readonly Due[] | null): void {
    if (due === null) this.#everywhere = true;
    else for (const one of due) this.#places.expect(one);
    this.#look();
  }

  #look(): void {
    if (this.#stopped || !this.#started) return;
    this.#lookAgain = true;
    this.#looking ??= this.#lookThrough();
  }

  async #lookThrough(): Promise<void> {
    let wait = LOOK_AGAIN_MS;
    try {
      while (this.#lookAgain && !this.#stopped) {
        this.#lookAgain = false;
        await this.#begin();
      }
      const now = this.#parts.clock();
      const next = this.#busy.size < this.#parts.most ? this.#places.nextAt(now) : null;
      if (next !== null) wait = Math.min(wait, Math.max(10, next.getTime() - now.getTime()));
    } catch (error) {
      this.#everywhere = true;
      wait = INSIST_MS.most;
      this.#tell(error);
    }
    this.#looking = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = this.#stopped ? null : setTimeout(() => this.#look(), wait);
  }

  async #begin(): Promise<void> {
    const { clock, most } = this.#parts;
    await this.#heedClock(clock());
    if (this.#everywhere) await this.#everyPlace();
    while (!this.#stopped && this.#busy.size < most) {
      const turn = this.#places.next(clock());
      if (turn === null) return;
      await this.#claim(turn, Math.min(turn.room, most - this.#busy.size));
    }
  }

  async #everyPlace(): Promise<void> {
    const { store, clock } = this.#parts;
    this.#everywhere = false;
    const at = clock();
    this.#places.forgetIdle(at);
    const since = this.#flushedAt ?? at;
    this.#flushedAt = since;
    for (const flushed of await flushedSince(store, since)) {
      this.#places.resume(flushed.destination);
      if (flushed.at > this.#flushedAt) this.#flushedAt = flushed.at;
    }
    for (const kind of KINDS) {
      for (const destination of await destinationsOf(store, kind)) {
        this.#places.expect({ place: { kind, destination }, at });
      }
    }
  }

  async #claim(turn: Turn, room: number): Promise<void> {
    const { store, clock } = this.#parts;
    const { place, which } = turn;
    const now = clock();
    await this.#keepOwn(now);
    const claims = await claimDue(store, place, { which, holder: this.holder, room, now });
    // Where as many were claimed as might be, more may be there.
    const next = claims.length === room ? now : await nextDue(store, place, now);
    this.#places.claimed(turn, claims.length, next, now);
    for (const claim of claims) this.#start(claim, turn, now.getTime() + LEASE_MS);
  }

  /**
   * What is under way here is not claimed anew: a process that was stopped for long, a clock that was set ahead or a database that was away
   * makes a claim run out while its delivery goes on.
   */
  async #keepOwn(now: Date): Promise<void> {
    const hasRunOut = ({ until }: UnderWay) => until !== LOST && until <= now.getTime();
    if ([...this.#busy.values()].some(hasRunOut)) await this.#renewAll(now);
  }

  #start(claim: Claim, { place, because }: Turn, until: number): void {
    const { id } = claim;
    const insist: AttemptParts['insist'] = (statements, unheard) => this.#insist(statements, unheard);
    const own = () => {
      const one = this.#busy.get(id);
      return one?.claim === claim ? one : null;
    };
    const stands = () => (own()?.until ?? LOST) - this.#parts.clock().getTime() >= LEFT_MS;
    const stopping = () => this.#stopped;
    const parts = { ...this.#parts, insist, stopping, ...(this.#parts.alone ? {} : { stands }) };
    const ended = attempt(claim, parts, because)
      .catch((error: unknown) => this.#failed(claim, error))
      .then((attempted) => {
        // One that was lost may have been made anew here meanwhile.
        if (own() !== null) this.#busy.delete(id);
        const { away, nextAt } = attempted;
        const at = { ...(away === undefined ? {} : { away }), now: this.#parts.clock() };
        this.#tellPause(place, this.#places.ended(place, at));
        if (nextAt !== null) this.#parts.work.written([{ place, at: nextAt }]);
        this.#look();
      });
    this.#busy.set(id, { claim, ended, until });
  }

  async #failed(claim: Claim, error: unknown): Promise<Attempted> {
    this.#tell(error);
    if (!(error instanceof SealgateError)) {
      const now = this.#parts.clock();
      const nextAt = new Date(now.getTime() + PUT_OFF_MS);
      await this.#insist([putOff(claim, now, nextAt)]);
      return { nextAt };
    }
    // It is the database, and nothing can be written down: not repeated without a pause.
    await sleep(INSIST_MS.most, null, { signal: this.#stopping.signal }).catch(() => null);
    return { nextAt: this.#parts.clock() };
  }

  /** At the start, and whenever the clock was set back. */
  async #heedClock(now: Date): Promise<void> {
    const latest = this.#latest;
    if (latest === null || now.getTime() < latest.getTime() - SET_BACK_MS) {
      const { store, alone } = this.#parts;
      const isStart = latest === null && alone;
      await store.transaction([
        ...(isStart ? [releaseClaims(null)] : []),
        fromTheFuture(store, now),
        claimsFromTheFuture(store, now),
      ]);
      for (const one of this.#busy.values()) one.until = Math.min(one.until, now.getTime() + LEASE_MS);
      this.#latest = now;
      if (latest !== null) this.#flushedAt = null;
    } else if (now > latest) this.#latest = now;
  }

  /** One that could not be renewed runs out, and somebody else may make the delivery its own. */
  async #renew(): Promise<void> {
    try {
      await this.#renewAll(this.#parts.clock());
    } catch (error) {
      this.#tell(error);
    }
  }

  async #renewAll(now: Date): Promise<void> {
    const busy = [...this.#busy.values()];
    if (busy.length === 0) return;
    const { store } = this.#parts;
    const claims = busy.map(({ claim }) => claim);
    const rows = await store.transaction(renew(store, claims, now));
    for (const [i, one] of busy.entries()) {
      one.until = rows[i]?.length === 1 ? now.getTime() + LEASE_MS : LOST;
    }
  }

  /** What was delivered has to be written down: a second try would bring a second copy. */
  async #insist(
    statements: readonly Statement[],
    unheard: () => void = () => undefined,
  ): Promise<readonly (readonly Row[])[] | null> {
    for (let wait = INSIST_MS.first; ; wait = Math.min(INSIST_MS.most, wait * 2)) {
      try {
        return await this.#parts.store.transaction(statements);
      } catch (error) {
        if (!(error instanceof SealgateError)) throw error;
        unheard();
        this.#tell(error);
        if (this.#stopped) return null;
      }
      await sleep(wait, null, { signal: this.#stopping.signal }).catch(() => null);
    }
  }

  #tellPause({ destination }: Place, change: PauseChange | null): void {
    const { log } = this.#parts;
    if (change?.kind === 'resumed') log.write({ event: 'queue.resumed', level: 'info', destination });
    if (change?.kind !== 'paused') return;
    const again = change.until.toISOString();
    log.write({ event: 'queue.paused', level: 'warn', destination, reason: change.because, again });
  }

  #tell(error: unknown): void {
    const { log } = this.#parts;
    if (error instanceof SealgateError) {
      log.write({ event: 'queue.unavailable', level: 'error', reason: error.message });
    } else {
      log.write({ event: 'gateway.defect', level: 'error', where: 'queue', error: String(error) });
    }
  }
}

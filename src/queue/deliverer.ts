import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SealgateError } from '../errors.ts';
import { type Attempted, type AttemptParts, attempt } from './attempt.ts';
import { flushedSince } from './by-hand.ts';
import { fromTheFuture, putOff } from './delivery-rows.ts';
import { INSIST_MS, insistOn } from './insist.ts';
import {
  type Claim,
  claimDue,
  claimsFromTheFuture,
  LEASE_MS,
  nextDue,
  RENEW_MS,
  releaseClaim,
  releaseClaims,
  releaseOthers,
} from './leases.ts';
import { linesAt } from './lines.ts';
import { LookThrough } from './look-through.ts';
import { OwnClaims } from './own-claims.ts';
import type { PauseChange } from './pause.ts';
import { Places, type Turn } from './places.ts';
import { type Due, type DueWork, type Place, RETRIES } from './ports.ts';

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

/** So long a mail waits on which the gateway itself failed: it must not keep the others from their turn. */
const PUT_OFF_MS = 3_600_000;
/** Clocks are corrected by seconds all the time. */
const SET_BACK_MS = 60_000;
/** So long nothing was heard of the database: others heard as little, and their claims run out while they are at work. */
const SILENT_MS = LEASE_MS / 2;
/** Then each of them has this time to renew what it has. */
const PATIENCE_MS = RENEW_MS + 5_000;
/** So long nobody asks again for what another node is just claiming. */
const TAKEN_MS = 25;
/** Timers take no more; the work itself says more often that something may be due. */
const LOOK_AGAIN_MS = 60_000;

/**
 * Delivers what is in the queue when its time comes, until it is stopped. Whose turn it is, places.ts says.
 *
 * Holds: one delivery is under way once at a time, whoever else delivers from the same rows. What ends badly in a way that nobody foresaw is
 * tried again, and said.
 */
export class Deliverer {
  readonly #parts: DelivererParts;
  /** Of this run of the process, in the rows. */
  readonly holder: string;
  readonly #places: Places;
  readonly #own: OwnClaims;
  readonly #lookThroughRows: LookThrough;
  readonly #stopping = new AbortController();
  #looking: Promise<void> | null = null;
  #throughRows: Promise<void> | null = null;
  #lookAgain = false;
  /** All rows are to be looked through. */
  #everywhere = false;
  /** Places where something may be due in a lane that nobody has named. */
  readonly #unsure = new Map<string, Place>();
  #started = false;
  #timer: NodeJS.Timeout | null = null;
  #renewing: NodeJS.Timeout | null = null;
  /** The last that was heard of wishes for destinations to be called; null: not looked at yet. */
  #flushedAt: Date | null = null;
  /** When the database answered last; null: it was not asked yet. */
  #heardAt: Date | null = null;
  /** Until then claims that have run out are left alone, since it was away; absent: it was not. */
  #patientUntil: Date | undefined;
  /** Claims may have been made that nobody here knows of. */
  #unheard = false;
  /** The latest that the clock said; null: not asked yet. */
  #latest: Date | null = null;

  constructor(parts: DelivererParts) {
    this.#parts = parts;
    this.holder = parts.holder ?? randomUUID();
    this.#places = new Places(parts.atOnce, parts.most);
    this.#own = new OwnClaims(parts.store);
    this.#lookThroughRows = new LookThrough(parts.store);
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
    await this.#throughRows;
    await this.#own.allEnded();
    if (this.#renewing !== null) clearInterval(this.#renewing);
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  #told(due: readonly Due[] | null): void {
    if (due === null) this.#everywhere = true;
    const now = this.#parts.clock();
    for (const { place, lane, at } of due ?? []) {
      if (lane !== undefined) this.#places.expect({ place, lane }, at, now);
      else this.#unsure.set(`${place.kind} ${place.destination}`, place);
    }
    this.#look();
  }

  #look(): void {
    if (this.#stopped || !this.#started) return;
    this.#lookAgain = true;
    this.#looking ??= this.#lookOnce();
  }

  async #lookOnce(): Promise<void> {
    let wait = LOOK_AGAIN_MS;
    try {
      while (this.#lookAgain && !this.#stopped) {
        this.#lookAgain = false;
        await this.#begin();
      }
      const now = this.#parts.clock();
      const next = this.#own.size < this.#parts.most ? this.#places.nextAt(now) : null;
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
    await this.#giveBack();
    await this.#findOut();
    if (this.#everywhere) await this.#everyLine();
    while (!this.#stopped && this.#own.size < most) {
      const turn = this.#places.next(clock());
      if (turn === null) return;
      await this.#claim({ ...turn, room: Math.min(turn.room, most - this.#own.size) });
    }
  }

  /** What was claimed for this node and never begun here, because the answer of the database got lost. */
  async #giveBack(): Promise<void> {
    if (!this.#unheard) return;
    await this.#parts.store.query(releaseOthers(this.holder, this.#own.ids()));
    this.#unheard = false;
  }

  async #findOut(): Promise<void> {
    const { store, clock } = this.#parts;
    for (const [key, place] of this.#unsure) {
      this.#unsure.delete(key);
      for (const line of await linesAt(store, place)) this.#places.expect(line, line.at, clock());
    }
  }

  async #everyLine(): Promise<void> {
    const { store, clock } = this.#parts;
    this.#everywhere = false;
    const at = clock();
    this.#places.forgetIdle(at);
    const since = this.#flushedAt ?? at;
    this.#flushedAt = since;
    const flushes = await flushedSince(store, since);
    this.#heed(clock());
    for (const flushed of flushes) {
      this.#places.resume(flushed.destination);
      if (flushed.at > this.#flushedAt) this.#flushedAt = flushed.at;
    }
    // Meanwhile what is known has its turn.
    this.#throughRows ??= this.#lookThroughRows
      .all(this.#places, clock, this.#stopping.signal, () => this.#look())
      .catch((error: unknown) => this.#tell(error))
      .finally(() => {
        this.#throughRows = null;
      });
  }

  /** The database has answered. */
  #heed(now: Date): void {
    const silent = this.#heardAt === null ? 0 : now.getTime() - this.#heardAt.getTime();
    if (silent > SILENT_MS && !this.#parts.alone) {
      this.#patientUntil = new Date(now.getTime() + PATIENCE_MS);
    }
    this.#heardAt = now;
  }

  async #claim(turn: Turn): Promise<void> {
    const { store, clock } = this.#parts;
    const patientUntil = this.#patientUntil;
    const { place, which, room } = turn;
    const now = clock();
    let claims: readonly Claim[] = [];
    let next: Date | null = now;
    try {
      await this.#own.keep(now);
      this.#unheard = true;
      claims = await claimDue(store, place, { which, holder: this.holder, room, now, patientUntil });
      this.#heardAt = clock();
      this.#unheard = false;
      // Where as many were claimed as might be, more may be there.
      if (claims.length < room && which !== 'overdue') {
        next = await nextDue(store, { place, ...which }, now, patientUntil);
        // Somebody else is at all that is due there.
        if (claims.length === 0 && next !== null && next <= now) next = new Date(now.getTime() + TAKEN_MS);
      }
    } finally {
      this.#places.claimed(turn, claims.length, next, now);
      for (const claim of claims) this.#start(claim, turn, now);
    }
  }

  #start(claim: Claim, turn: Turn, begun: Date): void {
    const { alone, work, clock } = this.#parts;
    const insist: AttemptParts['insist'] = (statements, unheard) => this.#insist(statements, unheard);
    const stands = () => this.#own.stands(claim, clock());
    const stopping = () => this.#stopped;
    const parts = { ...this.#parts, insist, stopping, ...(alone ? {} : { stands }) };
    const ended = attempt(claim, parts, turn.because)
      .catch((error: unknown) => this.#failed(claim, turn.place, error))
      .then((attempted) => {
        this.#own.ended(claim);
        const { away, nextAt } = attempted;
        const { place } = turn;
        const change = this.#places.ended(turn, { ...(away === undefined ? {} : { away }), now: clock() });
        this.#tellPause(place, change);
        if (nextAt !== null) work.written([{ place, lane: RETRIES, at: nextAt }]);
        this.#look();
      });
    this.#own.add(claim, ended, begun);
  }

  /** Never rejects. */
  async #failed(claim: Claim, place: Place, error: unknown): Promise<Attempted> {
    this.#tell(error);
    const { clock, work } = this.#parts;
    if (!(error instanceof SealgateError)) {
      const now = clock();
      const nextAt = new Date(now.getTime() + PUT_OFF_MS);
      // Where this fails too its claim runs out, which is pause enough.
      await this.#insist([putOff(claim, now, nextAt)]).catch((another: unknown) => this.#tell(another));
      return { nextAt };
    }
    // It is the database. Nobody waits for the claim to run out once it is there again; what fails time and again has longer and longer pauses.
    const pause = Math.min(INSIST_MS.most, INSIST_MS.first * 2 ** Math.min(claim.fence - 1, 16));
    await sleep(pause, null, { signal: this.#stopping.signal }).catch(() => null);
    await this.#insist([releaseClaim(claim)]).catch((another: unknown) => this.#tell(another));
    work.written([{ place, at: clock() }]);
    return { nextAt: null };
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
      this.#own.setBack(now);
      this.#patientUntil = undefined;
      this.#latest = now;
      if (latest !== null) this.#flushedAt = null;
    } else if (now > latest) this.#latest = now;
  }

  async #renew(): Promise<void> {
    try {
      await this.#own.renew(this.#parts.clock());
    } catch (error) {
      this.#tell(error);
    }
  }

  #insist(
    statements: Parameters<AttemptParts['insist']>[0],
    unheard: () => void = () => undefined,
  ): ReturnType<AttemptParts['insist']> {
    return insistOn(this.#parts.store, statements, {
      failed: (error) => {
        unheard();
        this.#tell(error);
      },
      stopping: this.#stopping.signal,
    });
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

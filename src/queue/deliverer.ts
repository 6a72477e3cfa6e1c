import { setTimeout as sleep } from 'node:timers/promises';
import { SealgateError } from '../errors.ts';
import type { Statement } from '../store/sql-store.ts';
import { type AttemptParts, attempt } from './attempt.ts';
import { dueDeliveries, fromTheFuture, nextDue, putOff } from './delivery-rows.ts';
import type { DeliveryId, Way } from './ports.ts';

export type DelivererParts = Omit<AttemptParts, 'insist'> & {
  /** Deliveries that may be under way at once, of each way. */
  atOnce: Readonly<Record<Way['kind'], number>>;
};

/** Commands beside the gateway write to the queue without telling it. */
const LOOK_AGAIN_MS = 10_000;
/** How long after the first failure of the database it is tried again, and how long at most. */
const INSIST_MS = { first: 200, most: 30_000 };
/** So long a mail waits on which the gateway itself failed: it must not keep the others from their turn. */
const PUT_OFF_MS = 3_600_000;
/** Clocks are corrected by seconds all the time. */
const SET_BACK_MS = 60_000;

/**
 * Delivers what is in the queue when its time comes, until it is stopped.
 *
 * Holds: one delivery is under way once at a time. What ends badly in a way that nobody foresaw is tried again, and said.
 */
export class Deliverer {
  readonly #parts: DelivererParts;
  readonly #busy = new Map<DeliveryId, Promise<void>>();
  readonly #lanes: readonly Lane[];
  readonly #stopping = new AbortController();
  /** The latest that the clock said; null: not asked yet. */
  #latest: Date | null = null;

  constructor(parts: DelivererParts) {
    this.#parts = parts;
    this.#lanes = (Object.keys(parts.atOnce) as Way['kind'][]).map((kind) => ({
      ...{ kind, atOnce: parts.atOnce[kind], busy: new Set(), looking: null, lookAgain: false, timer: null },
    }));
  }

  /** Something may be due. Before the first call nothing is delivered. */
  wake(): void {
    for (const lane of this.#lanes) this.#look(lane);
  }

  /** Begins nothing more, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const { timer } of this.#lanes) if (timer !== null) clearTimeout(timer);
    await Promise.all(this.#lanes.map(({ looking }) => looking));
    await Promise.all(this.#busy.values());
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  #look(lane: Lane): void {
    if (this.#stopped) return;
    lane.lookAgain = true;
    lane.looking ??= this.#lookThrough(lane);
  }

  async #lookThrough(lane: Lane): Promise<void> {
    let wait = LOOK_AGAIN_MS;
    try {
      while (lane.lookAgain && !this.#stopped) {
        lane.lookAgain = false;
        wait = await this.#begin(lane);
      }
    } catch (error) {
      this.#tell(error);
    }
    lane.looking = null;
    if (lane.timer !== null) clearTimeout(lane.timer);
    lane.timer = this.#stopped ? null : setTimeout(() => this.#look(lane), wait);
  }

  /** @returns how long nothing has to be looked for, unless something is put in or ends */
  async #begin(lane: Lane): Promise<number> {
    const { store, clock } = this.#parts;
    const { kind, busy, atOnce } = lane;
    if (busy.size >= atOnce) return LOOK_AGAIN_MS;
    const now = clock();
    await this.#heedClock(now);
    const due = await dueDeliveries(store, kind, now, atOnce + busy.size);
    for (const id of due) {
      if (busy.size >= atOnce) return LOOK_AGAIN_MS;
      if (!busy.has(id) && !this.#stopped) this.#start(lane, id);
    }
    const next = await nextDue(store, kind, now);
    return next === null
      ? LOOK_AGAIN_MS
      : Math.min(LOOK_AGAIN_MS, Math.max(10, next.getTime() - now.getTime()));
  }

  #start(lane: Lane, id: DeliveryId): void {
    lane.busy.add(id);
    const parts = { ...this.#parts, insist: (statements: readonly Statement[]) => this.#insist(statements) };
    const ended = attempt(id, parts)
      .catch((error: unknown) => this.#failed(id, error))
      .then(() => {
        lane.busy.delete(id);
        this.#busy.delete(id);
        this.#look(lane);
      });
    this.#busy.set(id, ended);
  }

  async #failed(id: DeliveryId, error: unknown): Promise<void> {
    this.#tell(error);
    if (!(error instanceof SealgateError)) {
      const now = this.#parts.clock();
      await this.#insist([putOff(id, now, new Date(now.getTime() + PUT_OFF_MS))]);
      return;
    }
    // It is the database, and nothing can be written down: not repeated without a pause.
    await sleep(INSIST_MS.most, null, { signal: this.#stopping.signal }).catch(() => null);
  }

  /** At the start, and whenever the clock was set back. */
  async #heedClock(now: Date): Promise<void> {
    const latest = this.#latest;
    if (latest === null || now.getTime() < latest.getTime() - SET_BACK_MS) {
      await this.#parts.store.query(fromTheFuture(now));
      this.#latest = now;
    } else if (now > latest) this.#latest = now;
  }

  /** What was delivered has to be written down: a second try would bring a second copy. */
  async #insist(statements: readonly Statement[]): Promise<boolean> {
    for (let wait = INSIST_MS.first; ; wait = Math.min(INSIST_MS.most, wait * 2)) {
      try {
        await this.#parts.store.transaction(statements);
        return true;
      } catch (error) {
        if (!(error instanceof SealgateError)) throw error;
        this.#tell(error);
        if (this.#stopped) return false;
      }
      await sleep(wait, null, { signal: this.#stopping.signal }).catch(() => null);
    }
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

/** Deliveries of one way: those of another do not wait for them. */
type Lane = {
  kind: Way['kind'];
  atOnce: number;
  busy: Set<DeliveryId>;
  looking: Promise<void> | null;
  lookAgain: boolean;
  timer: NodeJS.Timeout | null;
};

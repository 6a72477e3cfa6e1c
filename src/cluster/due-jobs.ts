import { type Job, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { Due, DueWork } from '../queue/ports.ts';
import { OrderTaker } from './order-taker.ts';
import { REPLICA, type Shortcomings, shortcomings } from './redis-durability.ts';
import { ANSWER_MS, type RedisPlace, redisOptions } from './redis-place.ts';

export type DueJobsParts = {
  place: RedisPlace;
  /** How long after the last look all rows are looked at anyway. Milliseconds. */
  sweepMs: number;
  /** How long an answer of Redis may take, milliseconds; absent: five seconds. */
  answerMs?: number;
  /** That the times of `Due` are of; absent: that of this machine. */
  clock?: () => Date;
  log: Log;
};

/** Of all nodes' jobs, below the prefix. */
const QUEUE = 'due';
/** Of what a Date can be (ECMAScript, "Time Values and Time Range"). */
const LAST_MS = 8_640_000_000_000_000;

/**
 * Tells all nodes what is due, by Redis: one job for each place and time, which one of the nodes takes when that time has come. Of what is due
 * already the node that has written it is told at once, besides.
 *
 * Holds: nothing depends on a job. The rows say what is due and claims in them who delivers; what Redis has lost, or was never told, is found by
 * looking at all rows every `sweepMs`. While Redis is away each node delivers what it was given itself. A Redis that answers and takes no orders
 * is away as well, until it takes one.
 */
export class DueJobs implements DueWork {
  readonly #parts: DueJobsParts;
  readonly #asking: Redis;
  readonly #taker: OrderTaker;
  #jobs: Queue | null = null;
  #told: ((due: readonly Due[] | null) => void) | null = null;
  #sweeping: NodeJS.Timeout | null = null;
  #state: RedisState = { kind: 'new' };
  #under = 0;
  #checking = false;
  #stopped = false;
  /** That jobs have told of since the last sweep. */
  readonly #places = new Set<string>();
  /** The last order that Redis did not take. */
  #refused: readonly Due[] = [];
  /** What it may forget, as was told already. */
  #forgets: ReadonlySet<string> = new Set();

  constructor(parts: DueJobsParts) {
    this.#parts = parts;
    const { place, answerMs = ANSWER_MS } = parts;
    this.#asking = new Redis(redisOptions(place, 'ask', answerMs));
    this.#taker = new OrderTaker({ place, queue: QUEUE, answerMs, taken: (job) => this.#taken(job) });
    this.#asking.on('error', (error: Error) => this.#away(error.message));
    this.#asking.on('ready', () => void this.#check('connected'));
    this.#asking.on('close', () => this.#away('the connection was closed'));
  }

  /**
   * Connects. An outage is no reason not to start. What is found is the caller's to tell.
   *
   * @returns what this Redis may forget; null: it is away
   */
  async open(): Promise<Shortcomings | null> {
    let found: Shortcomings | null = null;
    try {
      await this.#asking.connect();
      found = await shortcomings(this.#asking);
      this.#state = { kind: 'here' };
      this.#forgets = new Set(found);
    } catch (error) {
      this.#away(saidBy(error));
    }
    // Not before: it would connect by itself.
    const { prefix } = this.#parts.place;
    this.#jobs = new Queue(QUEUE, { connection: this.#asking, prefix, skipVersionCheck: true });
    this.#jobs.on('error', () => undefined);
    return found;
  }

  get state(): RedisState {
    return this.#state;
  }

  watch(told: (due: readonly Due[] | null) => void): void {
    this.#told = told;
    const { sweepMs } = this.#parts;
    this.#taker.begin();
    this.#sweeping = setInterval(() => {
      this.#places.clear();
      told(null);
      void this.#check('again');
    }, sweepMs);
    told(null);
  }

  written(due: readonly Due[]): void {
    if (due.length === 0) return;
    if (this.#jobs === null || this.#state.kind !== 'here' || this.#under >= limits.cluster.jobsUnderWay) {
      this.#told?.(due);
      return;
    }
    // Who has written it is there: the job is for the others, where this node has no room for all of it, or is lost.
    const now = this.#now();
    const already = due.filter(({ at }) => at.getTime() <= now);
    if (already.length > 0) this.#told?.(already);
    this.#under++;
    void this.#order(due)
      .catch((error: unknown) => {
        this.#refused = due;
        this.#failed(error, 'again');
        this.#told?.(due);
      })
      .finally(() => {
        this.#under--;
      });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#told = null;
    if (this.#sweeping !== null) clearInterval(this.#sweeping);
    await Promise.all([this.#taker.stop(), this.#jobs?.close().catch(() => undefined)]);
    this.#asking.disconnect();
  }

  async #order(due: readonly Due[]): Promise<void> {
    const now = this.#now();
    await this.#jobs?.addBulk(
      due.map(({ place, at }) => ({
        name: QUEUE,
        data: { kind: place.kind, destination: place.destination, at: at.getTime() },
        opts: {
          // What is due at the same time and place is one job.
          jobId: `${at.getTime()}/${place.kind}/${place.destination}`.replaceAll(':', '%'),
          delay: Math.max(0, at.getTime() - now),
          removeOnComplete: true,
          removeOnFail: true,
        },
      })),
    );
  }

  #now(): number {
    return this.#parts.clock?.().getTime() ?? Date.now();
  }

  #taken({ data }: Job): void {
    const due = dueOf(data);
    if (due === null) return;
    // Each place costs looks into the rows, whether anything is there or not. What is passed over the sweep finds.
    const { kind, destination } = due.place;
    const name = `${kind} ${destination}`;
    if (this.#places.size >= limits.cluster.placesInSweep && !this.#places.has(name)) return;
    this.#places.add(name);
    this.#told?.([due]);
  }

  /**
   * Whether Redis answers, takes orders, and keeps what it was told: another server may stand in for the former one, and settings may be changed
   * while it runs. Never rejects.
   */
  async #check(when: 'connected' | 'again'): Promise<void> {
    if (this.#stopped || this.#checking || this.#state.kind === 'new' || this.#asking.status !== 'ready')
      return;
    this.#checking = true;
    try {
      const found = await shortcomings(this.#asking);
      if (found.includes(REPLICA)) throw new Error(REPLICA);
      if (this.#refused.length > 0) await this.#order(this.#refused);
      this.#refused = [];
      if (this.#state.kind === 'away') this.#back();
      for (const reason of found) {
        if (!this.#forgets.has(reason)) this.#tellForgets(reason);
      }
      this.#forgets = new Set(found);
      await this.#taker.isThere();
    } catch (error) {
      this.#failed(error, when);
    }
    this.#checking = false;
  }

  #failed(error: unknown, when: 'connected' | 'again'): void {
    const reason = saidBy(error);
    this.#away(reason);
    // Behind the same name there may be another one by now, and not only since a moment ago.
    const isElsewhere = reason === REPLICA || /^READONLY|timed out/.test(reason);
    if (isElsewhere && when === 'again' && this.#asking.status === 'ready') this.#asking.disconnect(true);
  }

  #away(reason: string): void {
    if (this.#state.kind === 'away' || this.#stopped) return;
    this.#state = { kind: 'away', reason };
    this.#parts.log.write({ event: 'cluster.redis-away', level: 'error', reason });
  }

  #back(): void {
    this.#state = { kind: 'here' };
    this.#forgets = new Set();
    this.#parts.log.write({ event: 'cluster.redis-back', level: 'info' });
    this.#told?.(null);
  }

  #tellForgets(reason: string): void {
    this.#parts.log.write({ event: 'cluster.redis-forgets', level: 'error', reason });
  }
}

export type RedisState = { kind: 'new' } | { kind: 'here' } | { kind: 'away'; reason: string };

function saidBy(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** null: nothing that a node of this version has written. */
function dueOf(data: unknown): Due | null {
  if (typeof data !== 'object' || data === null) return null;
  const { kind, destination, at } = data as Readonly<Record<string, unknown>>;
  if (kind !== 'smtp' && kind !== 'append') return null;
  if (typeof destination !== 'string' || destination.length > limits.cluster.destinationCharacters)
    return null;
  if (typeof at !== 'number' || !Number.isSafeInteger(at) || Math.abs(at) > LAST_MS) return null;
  return { place: { kind, destination }, at: new Date(at) };
}

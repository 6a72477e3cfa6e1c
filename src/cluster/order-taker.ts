import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { limits } from '../limits.ts';
import { type RedisPlace, redisOptions } from './redis-place.ts';

export type OrderTakerParts = {
  place: RedisPlace;
  /** Name of the queue, below the prefix. */
  queue: string;
  /** How long an answer of Redis may take, milliseconds. */
  answerMs: number;
  /** One order. Must not throw. */
  taken(job: Job): void;
};

/** A worker that dies with a job in its hands makes it "stalled", and with more of those than this it is failed: it must not be. */
const STALLED_AT_MOST = 1_000_000;
const STALLED_EVERY_MS = 10_000;
/** One look into the rows, milliseconds. */
const LOCK_MS = 10_000;

/**
 * Takes orders from Redis, on connections of its own.
 *
 * The driver's worker ends for good, and says nothing, where a connection breaks before it has begun; one that has gone silent it waits on until
 * TCP gives up. So whoever owns this says now and then that Redis is there, and a worker that does not answer then is begun anew.
 */
export class OrderTaker {
  readonly #parts: OrderTakerParts;
  #running: { worker: Worker; redis: Redis } | null = null;
  #stopped = false;

  constructor(parts: OrderTakerParts) {
    this.#parts = parts;
  }

  begin(): void {
    const { place, queue, answerMs, taken } = this.#parts;
    const redis = new Redis(redisOptions(place, 'wait', answerMs));
    // Whoever asks by another connection tells of the outage.
    redis.on('error', () => undefined);
    const worker = new Worker(queue, async (job) => taken(job), {
      ...{ connection: redis, prefix: place.prefix, skipVersionCheck: true },
      concurrency: limits.cluster.jobsAtOnce,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_EVERY_MS,
      maxStalledCount: STALLED_AT_MOST,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    worker.on('error', () => undefined);
    this.#running = { worker, redis };
  }

  /** Redis is there. Never rejects. */
  async isThere(): Promise<void> {
    const asked = this.#running;
    if (asked === null || (await this.#answers(asked)) || this.#stopped) return;
    void end(asked);
    this.begin();
  }

  /** Never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const running = this.#running;
    this.#running = null;
    if (running !== null) await end(running);
  }

  async #answers({ worker, redis }: { worker: Worker; redis: Redis }): Promise<boolean> {
    const answer = Promise.all([worker.waitUntilReady(), redis.ping()]).then(
      () => worker.isRunning(),
      () => false,
    );
    const given = new AbortController();
    const silence = sleep(this.#parts.answerMs, false, { signal: given.signal }).catch(() => false);
    return Promise.race([answer, silence]).finally(() => given.abort());
  }
}

async function end({ worker, redis }: { worker: Worker; redis: Redis }): Promise<void> {
  await worker.close(true).catch(() => undefined);
  redis.disconnect();
}

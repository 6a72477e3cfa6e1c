import { Redis } from 'ioredis';
import { shortcomings } from './redis-durability.ts';
import { type RedisPlace, redisOptions } from './redis-place.ts';

export type RedisStatus =
  /** `orders`: that wait in it for their time, or for a node. `forgets`: what it may, each with what has to be set. */
  { state: 'here'; orders: number; forgets: readonly string[] } | { state: 'away'; reason: string };

/** Looks once. Never rejects. */
export async function redisStatus(place: RedisPlace): Promise<RedisStatus> {
  const redis = new Redis({ ...redisOptions(place, 'ask'), retryStrategy: () => null });
  let said = '';
  redis.on('error', (error: Error) => {
    said = error.message;
  });
  try {
    await redis.connect();
    const name = (part: string) => `${place.prefix}:due:${part}`;
    const [forgets, delayed, waiting] = [
      await shortcomings(redis),
      await redis.zcard(name('delayed')),
      await redis.llen(name('wait')),
    ];
    return { state: 'here', orders: delayed + waiting, forgets };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { state: 'away', reason: said === '' ? reason : said };
  } finally {
    redis.disconnect();
  }
}

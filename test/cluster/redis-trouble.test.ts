import { Queue } from 'bullmq';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { DueJobs } from '../../src/cluster/due-jobs.ts';
import type { RedisPlace } from '../../src/cluster/redis-place.ts';
import { redisStatus } from '../../src/cluster/redis-status.ts';
import { limits } from '../../src/limits.ts';
import type { Event } from '../../src/log/events.ts';
import type { Due } from '../../src/queue/ports.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { DURABLE, type Redis, redis } from '../support/services/redis.ts';
import { stopProcess } from '../support/stop-process.ts';

/** A Redis that is there and of no use: nodes go on without it, say so, and use it again once it is. */

let server: Started<Redis>;
let jobs: DueJobs | null = null;
let number = 0;
const events: Event[] = [];
const told: (readonly Due[] | null)[] = [];

beforeAll(async () => {
  server = await redis(DURABLE);
});
afterAll(() => server.stop());
beforeEach(() => {
  events.length = 0;
  told.length = 0;
  return async () => {
    await jobs?.stop();
    jobs = null;
  };
});

function place(): RedisPlace {
  const where = { host: '127.0.0.1', port: server.port, tls: null, db: 0 };
  return { ...where, user: null, password: null, prefix: `p${number}` };
}

async function node(sweepMs = 100): Promise<DueJobs> {
  number++;
  const log = { write: (event: Event) => void events.push(event) };
  const opened = new DueJobs({ place: place(), sweepMs, answerMs: 1_000, log });
  jobs = opened;
  await opened.open();
  opened.watch((due) => void told.push(due));
  return opened;
}

/** Of an hour hence: nobody but Redis is told of it at once. */
const later = (): Due => ({
  place: { kind: 'smtp', destination: 'server' },
  at: new Date(Date.now() + 3_600_000),
});
const named = (name: Event['event']) => events.filter(({ event }) => event === name);

/** What is ordered until Redis is seen to be away is told to the node itself. */
async function isAway(of: DueJobs, reason: RegExp): Promise<void> {
  await eventually(() => expect(of.state.kind).toBe('away'));
  expect(named('cluster.redis-away')).toEqual([
    { event: 'cluster.redis-away', level: 'error', reason: expect.stringMatching(reason) },
  ]);
}

async function isBack(of: DueJobs): Promise<void> {
  const looks = told.length;
  await eventually(() => expect(of.state.kind).toBe('here'));
  expect(named('cluster.redis-back')).toHaveLength(1);
  await eventually(() => expect(told.slice(looks)).toContain(null));
  of.written([later()]);
  await eventually(async () =>
    expect(await redisStatus(place())).toMatchObject({ state: 'here', orders: 1 }),
  );
}

test('one that hangs is away, though its connection stands', async () => {
  const node1 = await node();
  stopProcess(server.pid());
  try {
    await isAway(node1, /timed out/);
    node1.written([later()]);
    expect(told.at(-1)).toHaveLength(1);
  } finally {
    process.kill(server.pid(), 'SIGCONT');
  }
  await isBack(node1);
});

test('one whose memory is full refuses orders: it is away until it takes one', async () => {
  const node1 = await node();
  await server.client().config('SET', 'maxmemory', '1');
  node1.written([later()]);
  await isAway(node1, /OOM/);
  await eventually(() => expect(told.flatMap((due) => due ?? [])).toHaveLength(1));
  // That it answers questions does not make it of use.
  const looks = told.length;
  await eventually(() => expect(told.length).toBeGreaterThan(looks + 5));
  expect(node1.state.kind).toBe('away');
  await server.client().config('SET', 'maxmemory', '0');
  await eventually(() => expect(node1.state.kind).toBe('here'));
  expect([named('cluster.redis-away'), named('cluster.redis-back')]).toMatchObject([
    { length: 1 },
    { length: 1 },
  ]);
});

test('one that was made a replica takes nothing, until the one in its place is reached', async () => {
  const node1 = await node();
  const primary = await redis(DURABLE);
  try {
    await server.client().call('REPLICAOF', '127.0.0.1', String(primary.port));
    await isAway(node1, /replica/);
    await server.client().call('REPLICAOF', 'NO', 'ONE');
    await isBack(node1);
  } finally {
    await primary.stop();
  }
});

test('settings that are changed while it runs are told, once each', async () => {
  await node();
  const client = server.client();
  await client.config('SET', 'appendfsync', 'everysec');
  const forgets = () => named('cluster.redis-forgets');
  await eventually(() => expect(forgets()).toHaveLength(1));
  await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await eventually(() => expect(forgets()).toHaveLength(2));
  expect(forgets()).toMatchObject([
    { level: 'error', reason: expect.stringContaining('everysec') },
    { level: 'error', reason: expect.stringContaining('allkeys-lru') },
  ]);
  await client.config('SET', 'appendfsync', 'always');
  await client.config('SET', 'maxmemory-policy', 'noeviction');
});

test('whoever has the Redis may forge orders: they cost a node a bounded number of looks', async () => {
  await node(3_600_000);
  const forged = new Queue('due', {
    connection: server.client(),
    prefix: place().prefix,
    skipVersionCheck: true,
  });
  const { placesInSweep, destinationCharacters } = limits.cluster;
  const order = (destination: string) => ({ name: 'due', data: { kind: 'smtp', destination, at: 0 } });
  const endless = { ...order('endless'), data: { ...order('endless').data, at: Number.MAX_SAFE_INTEGER } };
  const many = Array.from({ length: placesInSweep + 200 }, (_, i) => order(`forged${i}.example`));
  await forged.addBulk([
    order('x'.repeat(destinationCharacters + 1)),
    { name: 'due', data: 'nonsense' },
    endless,
  ]);
  await forged.addBulk(many);
  await eventually(async () => expect(await forged.getJobCountByTypes('wait', 'active')).toBe(0));
  expect(told.filter((due) => due !== null)).toHaveLength(placesInSweep);
  expect(
    told.flatMap((due) => due ?? []).every(({ place: { destination } }) => /^forged/.test(destination)),
  ).toBe(true);
  await forged.close();
});

test('whoever stops does not call Redis away', async () => {
  const node1 = await node();
  await node1.stop();
  await new Promise((resolve) => setImmediate(resolve));
  expect(events).toEqual([]);
});

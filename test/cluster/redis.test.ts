import { afterEach, describe, expect, test } from 'vitest';
import { DueJobs } from '../../src/cluster/due-jobs.ts';
import { installationFromSecret } from '../../src/cluster/installation-from-secret.ts';
import { refuseShortcomings, shortcomings } from '../../src/cluster/redis-durability.ts';
import type { RedisPlace } from '../../src/cluster/redis-place.ts';
import { redisPlace } from '../../src/gateway/queue-state.ts';
import type { Event } from '../../src/log/events.ts';
import { Secret } from '../../src/log/secret.ts';
import type { Due } from '../../src/queue/ports.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { DURABLE, type Redis, redis } from '../support/services/redis.ts';

/** A real Redis: what it may forget, and how nodes tell each other by it what is due. */

const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
});

async function server(settings: Readonly<Record<string, string>> = DURABLE): Promise<Started<Redis>> {
  const started = await redis(settings);
  running.push(started);
  return started;
}

function place({ port }: Redis, changed: Partial<RedisPlace> = {}): RedisPlace {
  return { host: '127.0.0.1', port, tls: null, user: null, password: null, db: 0, prefix: 'p', ...changed };
}

type Node = { jobs: DueJobs; told: (readonly Due[] | null)[]; events: Event[] };

async function node(at: RedisPlace, watches = true, clock?: () => Date, sweepMs = 3_600_000): Promise<Node> {
  const events: Event[] = [];
  const told: (readonly Due[] | null)[] = [];
  const log = { write: (event: Event) => void events.push(event) };
  const jobs = new DueJobs({ place: at, sweepMs, log, ...(clock === undefined ? {} : { clock }) });
  running.push(jobs);
  await jobs.open();
  if (watches) jobs.watch((due) => void told.push(due));
  return { jobs, told, events };
}

const due = (at: number, destination = 'server'): Due => ({
  place: { kind: 'smtp', destination },
  at: new Date(at),
});
const destinations = (told: Node['told']) =>
  told.flatMap((one) => one ?? []).map((one) => one.place.destination);

describe('what a Redis may forget', () => {
  test('nothing, with the settings of a cluster', async () => {
    expect(await shortcomings((await server()).client())).toEqual([]);
  });

  test.each([
    [{ 'cluster-enabled': 'yes' }, /one of a Redis Cluster/],
    [{ appendonly: 'no' }, /appendonly is "no".*set "appendonly yes"/],
    [{ appendfsync: 'everysec' }, /appendfsync is "everysec".*set "appendfsync always"/],
    [
      { 'maxmemory-policy': 'allkeys-lru' },
      /maxmemory-policy is "allkeys-lru".*set "maxmemory-policy noeviction"/,
    ],
  ])('%o is told, with what has to be set', async (changed, expected) => {
    const started = await server({ ...DURABLE, ...changed });
    const found = await shortcomings(started.client());
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
    expect(() => refuseShortcomings(found, 'redis.example.org:6379')).toThrow(
      expect.objectContaining({
        code: 'cluster.redis-forgets',
        duration: 'permanent',
        publicText: expect.stringMatching(/acceptLosses: true; no mail is lost by that/),
      }),
    );
  });

  test('where CONFIG is forbidden INFO tells the rest, and what nobody tells counts as missing', async () => {
    const started = await server({ ...DURABLE, 'maxmemory-policy': 'volatile-ttl' });
    const user = started.client();
    await user.call('ACL', 'SETUSER', 'default', '-config');
    const found = await shortcomings(user);
    expect(found).toEqual([
      expect.stringMatching(/does not say its appendfsync.*"always".*CONFIG is forbidden/),
      expect.stringMatching(/maxmemory-policy is "volatile-ttl"/),
    ]);
  });
});

describe('nodes tell each other what is due', () => {
  test('each job goes to one of them, and all of them get some', async () => {
    const at = place(await server());
    const nodes = [await node(at), await node(at), await node(at)];
    const writer = await node(at, false);
    for (let i = 0; i < 60; i++) writer.jobs.written([due(Date.now(), `d${i}`)]);
    const all = () => nodes.flatMap(({ told }) => destinations(told));
    await eventually(() => expect(all()).toHaveLength(60));
    expect(new Set(all()).size).toBe(60);
    expect(nodes.filter(({ told }) => destinations(told).length > 0).length).toBeGreaterThan(1);
  });

  test('at once, what is due by the clock that all share, whatever the clock of the machine says', async () => {
    const ahead = () => new Date(Date.now() + 3_600_000);
    const one = await node(place(await server()), true, ahead);
    one.jobs.written([due(ahead().getTime())]);
    expect(destinations(one.told)).toEqual(['server']);
    await eventually(() => expect(destinations(one.told)).toEqual(['server', 'server']));
  });

  test('not before the time has come, and nothing stays in Redis afterwards', async () => {
    const started = await server();
    const one = await node(place(started));
    const at = Date.now() + 300;
    one.jobs.written([due(at)]);
    await eventually(() => expect(destinations(one.told)).toEqual(['server']));
    expect(Date.now()).toBeGreaterThanOrEqual(at);
    const kept = async () => (await started.client().keys('p:due:*')).filter((key) => /:\d+\//.test(key));
    await eventually(async () => expect(await kept()).toEqual([]));
  });

  test('many words about the same place and time are one job', async () => {
    const started = await server();
    const one = await node(place(started), false);
    const at = Date.now() + 3_600_000;
    for (let i = 0; i < 5; i++) one.jobs.written([due(at)]);
    one.jobs.written([due(at, 'other')]);
    const client = started.client();
    await eventually(async () => expect(await client.zcard('p:due:delayed')).toBe(2));
  });

  test('what outlives a crash of Redis is due when it is there again', async () => {
    const started = await server();
    const one = await node(place(started));
    const client = started.client();
    // Long enough to be seen while it waits.
    one.jobs.written([due(Date.now() + 5_000)]);
    await eventually(async () => expect(await client.zcard('p:due:delayed')).toBe(1));
    await started.kill();
    await started.start();
    await eventually(() => expect(destinations(one.told)).toEqual(['server']));
  });

  test('while Redis is away a node does what it was given itself, and all is looked at when it is back', async () => {
    const started = await server();
    const one = await node(place(started));
    await eventually(() => expect(one.jobs.state.kind).toBe('here'));
    await started.kill();
    await eventually(() => expect(one.jobs.state.kind).toBe('away'));
    one.jobs.written([due(Date.now())]);
    expect(destinations(one.told)).toEqual(['server']);
    const looks = one.told.filter((each) => each === null).length;
    await started.start();
    await eventually(() => expect(one.told.filter((each) => each === null).length).toBe(looks + 1));
    expect(one.events.map(({ event }) => event)).toEqual(['cluster.redis-away', 'cluster.redis-back']);
  });

  test('a Redis that is not there keeps nobody from starting', async () => {
    const started = await server();
    await started.kill();
    const one = await node(place(started));
    one.jobs.written([due(Date.now())]);
    expect(destinations(one.told)).toEqual(['server']);
    expect(one.events[0]).toMatchObject({ event: 'cluster.redis-away' });
  });

  test('and the node takes the orders of others once it is there', async () => {
    const started = await server();
    await started.kill();
    const one = await node(place(started), true, undefined, 100);
    await started.start();
    const writer = await node(place(started), false);
    await eventually(() => expect(one.jobs.state.kind).toBe('here'));
    writer.jobs.written([due(Date.now())]);
    await eventually(() => expect(destinations(one.told)).toEqual(['server']));
  });

  test('one that stands in for it and forgets is told of', async () => {
    const started = await server();
    const one = await node(place(started));
    await started.client().config('SET', 'appendfsync', 'everysec');
    await started.client().call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await eventually(() =>
      expect(one.events).toContainEqual({
        ...{ event: 'cluster.redis-forgets', level: 'error' },
        reason: expect.stringContaining('everysec'),
      }),
    );
  });

  test('clusters with one Redis have names of their own, whose orders nobody else takes', async () => {
    const started = await server();
    const settings = { ...place(started), ...{ tls: 'none' as const, ca: null, serverName: null } };
    const of = (secret: string) =>
      redisPlace(
        { ...settings, allowPlaintext: true, acceptLosses: false },
        installationFromSecret(new Secret(secret.repeat(32))),
      );
    const [one, other] = [await node(await of('a')), await node(await of('b'))];
    one.jobs.written([due(Date.now() + 200)]);
    await eventually(() => expect(destinations(one.told)).toEqual(['server']));
    expect(destinations(other.told)).toEqual([]);
  });

  test('a password is asked for, and is in no message', async () => {
    const started = await server({ ...DURABLE, requirepass: 'right' });
    const wrong = await node(place(started, { password: new Secret('wrong-secret') }), false);
    expect(JSON.stringify(wrong.events)).toMatch(/WRONGPASS|NOAUTH|invalid/i);
    expect(JSON.stringify(wrong.events)).not.toContain('wrong-secret');
    const right = await node(place(started, { password: new Secret('right') }), false);
    expect(right.jobs.state.kind).toBe('here');
  });
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import { DueJobs } from '../../src/cluster/due-jobs.ts';
import type { Due } from '../../src/queue/ports.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { DURABLE, type Redis, redis } from '../support/services/redis.ts';
import { type CommandFault, type CommandWire, startCommandWire } from './support/command-wire.ts';

/**
 * A real Redis that fails a node at each command of its first moments, whichever connection says it: the node goes on by itself, and once that
 * is over it takes the orders of others, and others take its own.
 */

let server: Started<Redis>;
let client: ReturnType<Redis['client']>;
let wires: CommandWire[];
beforeAll(async () => {
  server = await redis(DURABLE);
  client = server.client();
  wires = await Promise.all(Array.from({ length: LANES }, () => startCommandWire(server.port)));
});
afterAll(async () => {
  for (const wire of wires) await wire.stop();
  await server.stop();
});

/** Faults that are waited for side by side. */
const LANES = 24;
/** Commands until a node waits for orders: three handshakes, questions about the settings, the scripts of the queue. */
const STEPS = Array.from({ length: 24 }, (_, i) => i + 1);
let prefixes = 0;

const refused = (says: string): CommandFault => ({ kind: 'refused', says });
const FAULTS: readonly [string, CommandFault][] = [
  ['a connection is reset', { kind: 'lost' }],
  ['a connection is reset behind it', { kind: 'unheard' }],
  ['a connection goes silent', { kind: 'hangs' }],
  ['Redis loads what it has', refused('LOADING Redis is loading the dataset in memory')],
  ['Redis wants a password', refused('NOAUTH Authentication required.')],
  ['Redis is a part of a cluster now', refused('MOVED 3999 127.0.0.1:6381')],
];

const due = (destination: string, at: number): Due => ({
  place: { kind: 'smtp', destination },
  at: new Date(at),
});

async function oneNode(wire: CommandWire, fault: CommandFault, at: number): Promise<void> {
  const prefix = `p${++prefixes}`;
  const told: (readonly Due[] | null)[] = [];
  const opened = async (port: number, sweepMs: number) => {
    const place = { host: '127.0.0.1', port, tls: null, user: null, password: null, db: 0, prefix };
    const jobs = new DueJobs({ place, sweepMs, answerMs: 1_000, log: { write: () => undefined } });
    await jobs.open();
    return jobs;
  };
  const isTold = (destination: string) =>
    told.some((some) => some?.some(({ place }) => place.destination === destination));
  const sweeps = () => told.filter((some) => some === null).length;
  const other = await opened(server.port, 3_600_000);
  wire.arm(fault, at);
  const node = await opened(wire.port, 100);
  node.watch((some) => void told.push(some));
  try {
    node.written([due('own', Date.now()), due('own later', Date.now() + 20)]);
    expect(isTold('own')).toBe(true);
    // Those that come beyond what is said in the beginning are said by the looks that come again and again.
    await eventually(() => expect(wire.seen.length).toBeGreaterThanOrEqual(at));
    const before = sweeps();
    await eventually(() => expect(sweeps()).toBeGreaterThan(before + 2));
    await eventually(() => expect(node.state.kind).toBe('here'));
    await eventually(() => {
      other.written([due('of others', Date.now())]);
      expect(isTold('of others')).toBe(true);
    });
    // What Redis does not take at once is not said again: the node's own looks find it.
    const inAnHour = Date.now() + 3_600_000;
    await eventually(async () => {
      node.written([due('in an hour', inAnHour)]);
      expect(await client.zcard(`${prefix}:due:delayed`)).toBe(1);
    });
  } finally {
    await node.stop();
    await other.stop();
  }
}

test.each(FAULTS)('%s at any command', async (_, fault) => {
  const steps = [...STEPS];
  const failed: string[] = [];
  await Promise.all(
    wires.map(async (wire) => {
      for (let at = steps.shift(); at !== undefined; at = steps.shift()) {
        await oneNode(wire, fault, at).catch((error: unknown) => {
          failed.push(`${at} (${wire.seen[(at ?? 1) - 1]}): ${String(error)}`);
        });
      }
    }),
  );
  expect(failed).toEqual([]);
});

test.each(['nothing', 'what it knew a while ago'])(
  'a Redis that knows %s: orders are taken all the same',
  async (what) => {
    const prefix = `p${++prefixes}`;
    const told: string[] = [];
    const opened = async () => {
      const place = {
        host: '127.0.0.1',
        port: server.port,
        tls: null,
        user: null,
        password: null,
        db: 0,
        prefix,
      };
      const jobs = new DueJobs({
        place,
        sweepMs: 3_600_000,
        answerMs: 1_000,
        log: { write: () => undefined },
      });
      await jobs.open();
      return jobs;
    };
    const [node, other] = [await opened(), await opened()];
    node.watch((some) => void told.push(...(some ?? []).map(({ place }) => place.destination)));
    try {
      other.written([due('before', Date.now())]);
      await eventually(() => expect(told).toEqual(['before']));
      // Long enough to be read while it waits.
      other.written([due('in between', Date.now() + 5_000)]);
      const names = () => client.keys(`${prefix}:*`);
      await eventually(async () => expect(await client.zcard(`${prefix}:due:delayed`)).toBe(1));
      const known = await Promise.all(
        (await names()).map(async (name) => [name, await client.dumpBuffer(name)] as const),
      );
      await eventually(() => expect(told).toEqual(['before', 'in between']));
      await client.del(...(await names()));
      if (what !== 'nothing') {
        for (const [name, value] of known)
          if (value !== null) await client.restore(name, 0, value, 'REPLACE');
      }
      other.written([due('behind', Date.now())]);
      await eventually(() => expect(told).toContain('behind'));
      // What was carried out since is said again, which does no harm, and does not stay.
      await eventually(async () => expect(await client.zcard(`${prefix}:due:delayed`)).toBe(0));
    } finally {
      await node.stop();
      await other.stop();
    }
  },
);

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import { eventually } from '../support/eventually.ts';
import type { Node } from './support/gateway-process.ts';
import type { Taken } from './support/numbered-sink.ts';
import { startThreeNodes, type ThreeNodes } from './support/three-nodes.ts';

/** Three processes of the gateway behind a balancer, of which any may go: nothing that was accepted is lost. */

let system: ThreeNodes;
let number = 0;
beforeAll(async () => {
  system = await startThreeNodes();
}, 60_000);
afterAll(() => system?.stop());
beforeEach(() => {
  system.sink.open();
  system.sink.refuse(null);
});

/** Sends so many at once, and again what was not accepted; the numbers that were. */
async function accepted(count: number): Promise<readonly number[]> {
  const sent = await Promise.all(
    Array.from({ length: count }, async () => {
      let said: string | null = '';
      for (let attempt = 0; attempt < 100; attempt++) {
        const mine = ++number;
        said = await system.send(mine);
        if (said === null) return mine;
      }
      throw new Error(`nothing is accepted: ${said}`);
    }),
  );
  return sent.toSorted((a, b) => a - b);
}

function taken(numbers: readonly number[]): readonly Taken[] {
  return system.sink.taken.filter(({ number: one, answer }) => numbers.includes(one) && answer !== 'refused');
}

/** Nothing is lost, and nothing is there twice but what a node was lost with before it had the answer. */
async function arrives(numbers: readonly number[]): Promise<void> {
  await eventually(() =>
    expect(new Set(taken(numbers).map(({ number: one }) => one))).toEqual(new Set(numbers)),
  );
  await eventually(async () => expect(await system.queued()).toBe(0));
  for (const one of numbers) {
    const copies = taken([one]);
    expect(copies.filter(({ answer }) => answer === 'told')).toHaveLength(1);
    for (const { octets } of copies) {
      expect(octets.toString('latin1')).toContain('application/pkcs7-signature');
      expect(octets.toString('latin1')).toContain(`This is number ${one}.`);
    }
  }
}

/** One that is at work on something. */
async function busy(): Promise<Node> {
  return eventually(async () => {
    for (const node of system.nodes) if ((await system.queued(node)) > 0) return node;
    throw new Error('nobody is at work');
  });
}

test('all nodes take mail and deliver it, each mail once', async () => {
  const numbers = await accepted(24);
  await arrives(numbers);
  expect(taken(numbers)).toHaveLength(24);
  // The lines of another process come when they come.
  await eventually(() => {
    const delivering = system.nodes.filter(({ lines }) =>
      lines.some(({ event }) => event === 'queue.delivered'),
    );
    expect(delivering.length).toBeGreaterThan(1);
  });
  const { out } = await runSealgate(['cluster', 'status', '--json', '--config', system.configFile]);
  expect(JSON.parse(out)).toMatchObject({
    nodes: [
      { name: 'one', state: 'here', redis: 'here' },
      { name: 'three', state: 'here', redis: 'here' },
      { name: 'two', state: 'here', redis: 'here' },
    ],
    queue: { deliveries: 0 },
    redis: { state: 'here', forgets: [] },
  });
});

test('a node that is killed with deliveries under way: the others finish its mails', async () => {
  system.sink.shut();
  const numbers = await accepted(12);
  const victim = await busy();
  await eventually(() => expect(system.sink.waiting()).toBeGreaterThan(0));
  await victim.kill();
  const more = await accepted(6);
  await system.expire(victim);
  system.sink.open();
  await arrives([...numbers, ...more]);
  await victim.start();
  await arrives(await accepted(6));
});

test('what a node says that was taken for dead changes nothing', async () => {
  const seen = new Set<number>();
  // The first one who brings it is told that it has failed; the others bring it in vain or in earnest.
  system.sink.refuse((one) => {
    if (seen.has(one)) return null;
    seen.add(one);
    return '550 5.7.1 not this way';
  });
  system.sink.shut();
  const numbers = await accepted(1);
  await eventually(() => expect(system.sink.waiting()).toBe(1));
  const stopped = await busy();
  stopped.signal('SIGSTOP');
  await system.expire(stopped);
  await eventually(() => expect(system.sink.waiting()).toBe(2));
  system.sink.open();
  await arrives(numbers);
  stopped.signal('SIGCONT');
  await eventually(() => expect(stopped.lines.map(({ event }) => event)).toContain('queue.claim-lost'));
  // Nobody is told of a failure that was none: the report would be in the queue, or at the mail server.
  expect(await system.queued()).toBe(0);
  expect(stopped.lines.filter(({ event }) => event === 'queue.failed')).toEqual([]);
  expect(system.sink.taken.filter(({ number: one }) => one === -1)).toEqual([]);
});

test('commands on any node see and change the queue of all', async () => {
  const run = async (...words: string[]) => {
    const { code, out, error } = await runSealgate([...words, '--config', system.configFile]);
    expect(error).toBe('');
    expect(code).toBe(0);
    return out;
  };
  system.sink.shut();
  const numbers = await accepted(9);
  await eventually(() => expect(system.sink.waiting()).toBe(6));
  type Listed = { deliveries: readonly { id: string; mail: string }[] };
  const { deliveries } = JSON.parse(await run('queue', 'list', '--json')) as Listed;
  expect(deliveries).toHaveLength(9);
  const claimed = await system.store.query({
    sql: 'SELECT id FROM delivery WHERE lease_holder IS NOT NULL',
    parameters: [],
  });
  const [held = '', removed = ''] = deliveries
    .map(({ id }) => id)
    .filter((id) => !claimed.some((row) => row.id === id));
  await run('queue', 'hold', held);
  expect(await run('queue', 'show', held)).toContain(held);
  await run('queue', 'remove', removed, '--yes');
  await run('queue', 'flush', 'server');
  await run('queue', 'retry', '--all');
  expect(await run('held', 'list')).toBe('Nothing waits.\n');
  system.sink.open();
  await eventually(async () => expect(await system.queued()).toBe(1));
  expect(taken(numbers)).toHaveLength(7);
  await run('queue', 'release', held);
  await eventually(async () => expect(await system.queued()).toBe(0));
  expect(new Set(taken(numbers).map(({ number: one }) => one)).size).toBe(8);
});

test('without Redis mail is accepted and delivered, and with it again', async () => {
  await system.redis.kill();
  await arrives(await accepted(9));
  await system.redis.start();
  await eventually(() => {
    for (const { lines } of system.nodes) {
      expect(lines.map(({ event }) => event)).toContain('cluster.redis-back');
    }
  });
  await arrives(await accepted(9));
});

test('while the database is away nothing is accepted; what was under way is crossed out once it is back', async () => {
  system.sink.shut();
  const numbers = await accepted(6);
  // All of them are claimed: a claim of which nobody hears is as good as a node that is gone.
  await eventually(() => expect(system.sink.waiting()).toBe(6));
  await system.database.restart(async () => {
    expect(await system.send(++number)).toMatch(/ 4\d\d /);
    system.sink.open();
  });
  await arrives(numbers);
  expect(taken(numbers)).toHaveLength(numbers.length);
  for (const { complaints } of system.nodes) expect(complaints).toEqual([]);
});

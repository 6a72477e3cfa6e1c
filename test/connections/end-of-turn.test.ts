import { once } from 'node:events';
import { expect, test } from 'vitest';
import { atEndOfTurn } from '../../src/connections/end-of-turn.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('everything is done in its order, after what this turn still brings', async () => {
  const done: string[] = [];
  atEndOfTurn(() => done.push('first'));
  process.nextTick(() => {
    done.push('tick');
    atEndOfTurn(() => done.push('third'));
  });
  atEndOfTurn(() => done.push('second'));
  expect(done).toEqual([]);
  await turn();
  expect(done).toEqual(['tick', 'first', 'second', 'third']);
});

test('what is asked for meanwhile has its own turn', async () => {
  const done: string[] = [];
  atEndOfTurn(() => {
    done.push('now');
    atEndOfTurn(() => done.push('then'));
  });
  await turn();
  expect(done).toEqual(['now']);
  await turn();
  expect(done).toEqual(['now', 'then']);
});

test('a defect of one keeps no other from being written, and is not swallowed', async () => {
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  try {
    const told = once(process, 'uncaughtException');
    let done = false;
    atEndOfTurn(() => {
      throw new Error('a defect');
    });
    atEndOfTurn(() => {
      done = true;
    });
    await turn();
    expect(done).toBe(true);
    expect(String((await told)[0])).toContain('a defect');
  } finally {
    for (const listener of before) process.on('uncaughtException', listener);
  }
});

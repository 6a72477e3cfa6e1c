import { fork } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { freePort } from '../../src/evaluation/free-port.ts';

test('two processes never get the same port, although nothing listens there yet', async () => {
  // Few of them, anywhere: others may be at work in the same place.
  const lowest = await freePort(15_000, 31_000);
  const asking = new URL('support/asks-for-ports.ts', import.meta.url);
  const other = fork(asking, [String(lowest), String(lowest + 40), '12'], { execArgv: [] });
  const mine: number[] = [];
  const [theirs] = (await once(other, 'message')) as [number[]];
  for (let count = 0; count < 12; count++) mine.push(await freePort(lowest, lowest + 40));
  other.kill();
  await once(other, 'exit');
  expect(theirs).toHaveLength(12);
  expect(new Set([lowest, ...mine, ...theirs]).size).toBe(25);
});

test('where there is none, that is said', async () => {
  const port = await freePort();
  await expect(freePort(port, port + 1)).rejects.toMatchObject({ code: 'evaluation.no-free-port' });
});

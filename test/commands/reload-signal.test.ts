import { expect, test } from 'vitest';
import { onReloadSignal } from '../../src/commands/reload-signal.ts';

test('signals while one reload runs are one more, and none after the end', async () => {
  const ends: (() => void)[] = [];
  let calls = 0;
  const reloading = onReloadSignal(() => {
    calls++;
    const { promise, resolve } = Promise.withResolvers<void>();
    ends.push(resolve);
    return promise;
  });
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  for (let signals = 0; signals < 5; signals++) process.emit('SIGHUP');
  expect(calls).toBe(1);
  ends.shift()?.();
  await settled();
  expect(calls).toBe(2);
  ends.shift()?.();
  await settled();
  expect(calls).toBe(2);
  process.emit('SIGHUP');
  expect(calls).toBe(3);
  reloading.stop();
  ends.shift()?.();
  await settled();
  expect(process.listenerCount('SIGHUP')).toBe(0);
  expect(calls).toBe(3);
});

import { expect, test } from 'vitest';
import { Waits } from '../../src/imap-proxy/waits.ts';
import { FakeTimers } from './support/fake-timers.ts';

/** What a session waits for besides its mail server, where it fails. */

test('a defect while a message is opened is told to whoever waits for it, and to nobody else', async () => {
  const timers = new FakeTimers();
  const waits = new Waits(timers);
  const { result, soon } = waits.open(
    () => Promise.reject(new Error('a defect')),
    () => true,
    () => undefined,
  );
  expect(await soon).toBe(true);
  await expect(result).rejects.toThrow('a defect');
  await waits.free();
  expect(timers.pending).toEqual([]);
});

test('everything that is waited for is given up at once, and later again when the session ends', async () => {
  const waits = new Waits(new FakeTimers());
  const standing = waits.stand();
  const never = waits.delay(1_000_000);
  const behind = Promise.withResolvers<void>();
  waits.behind(behind.promise);
  const given = waits.giveUpAll();
  await never;
  expect(standing.signal.aborted).toBe(true);
  behind.resolve();
  await given;
  expect(waits.giveUpAll()).toBeNull();
  const later = waits.stand();
  expect(later.signal.aborted).toBe(false);
  waits.end();
  expect(later.signal.aborted).toBe(true);
  await waits.delay(1_000_000);
});

import { describe, expect, test } from 'vitest';
import { Turns } from '../../src/revocation/turns.ts';

const live = new AbortController().signal;

describe('turns', () => {
  test('so many at once, the others in the order in which they came', async () => {
    const turns = new Turns(2, 10);
    const done = await Promise.all([turns.take(live), turns.take(live)]);
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (number) => {
      const end = await turns.take(live);
      order.push(number);
      end?.();
    });
    expect(order).toEqual([]);
    done[0]?.();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
    done[1]?.();
    const again = await Promise.all([turns.take(live), turns.take(live)]);
    expect(again.every((end) => end !== null)).toBe(true);
  });

  test('not too many that wait, and not longer than they want', async () => {
    const turns = new Turns(1, 1);
    const first = await turns.take(live);
    const patience = new AbortController();
    const second = turns.take(patience.signal);
    expect(await turns.take(live)).toBeNull();
    patience.abort();
    expect(await second).toBeNull();
    expect(await turns.take(AbortSignal.abort())).toBeNull();
    const third = turns.take(live);
    first?.();
    expect(await third).not.toBeNull();
  });
});

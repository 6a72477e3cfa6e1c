import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { chanceOf } from './chance.ts';
import { kill } from './killing.ts';
import { revived } from './revived.ts';
import type { Victim } from './setting.ts';

/** Starts when it is let, and can be killed whatever it is doing. */
class Fake {
  readonly name = 'a program';
  readonly #starts: { resolve: () => void; reject: (error: Error) => void }[] = [];
  runs = true;
  kills = 0;

  start(): Promise<void> {
    this.runs = true;
    return new Promise((resolve, reject) => this.#starts.push({ resolve, reject }));
  }

  async kill(): Promise<boolean> {
    if (!this.runs) return false;
    this.runs = false;
    this.kills++;
    this.fails('killed');
    return true;
  }

  answers(): void {
    this.#starts.splice(0).forEach(({ resolve }) => void resolve());
  }

  fails(why: string): void {
    this.#starts.splice(0).forEach(({ reject }) => void reject(new Error(why)));
  }

  /** Turns of the event loop, so that whatever follows from the last step has happened. */
  async started(): Promise<void> {
    while (this.#starts.length === 0) await sleep(1);
  }
}

describe('a program that is started again', () => {
  test('is back when it answers, not when it was begun', async () => {
    const fake = new Fake();
    const hit = await revived(fake).hit(Math.random);
    let isBack = false;
    const back = hit?.back.then(() => {
      isBack = true;
    });
    await fake.started();
    await sleep(5);
    expect(isBack).toBe(false);
    fake.answers();
    await back;
  });

  test('may be killed as it starts: that is no failure, and it is started anew', async () => {
    const fake = new Fake();
    const victim = revived(fake);
    const first = await victim.hit(Math.random);
    await fake.started();
    const second = await victim.hit(Math.random);
    await first?.back;
    await fake.started();
    fake.answers();
    await second?.back;
    expect(fake.kills).toBe(2);
    expect(fake.runs).toBe(true);
  });

  test('is a failure where it ends by itself, as it starts and later', async () => {
    const fake = new Fake();
    const victim = revived(fake);
    const hit = await victim.hit(Math.random);
    await fake.started();
    fake.fails('its files cannot be read');
    await expect(hit?.back).rejects.toThrow('its files cannot be read');
    fake.runs = false;
    await expect(victim.hit(Math.random)).rejects.toThrow('a program had ended by itself');
  });
});

describe('killing', () => {
  const EVERY = [1, 3] as const;

  test('does not wait for those who are away, and ends when they are back', async () => {
    const away = Promise.withResolvers<void>();
    const slow: Victim = { name: 'slow', hit: async () => ({ back: away.promise }) };
    const stop = new AbortController();
    let hits = 0;
    let hasEnded = false;
    const killing = kill([slow], chanceOf(1), EVERY, null, stop.signal, () => {
      if (++hits === 20) stop.abort();
    }).then((kills) => {
      hasEnded = true;
      return kills;
    });
    while (!stop.signal.aborted) await sleep(1);
    await sleep(5);
    expect(hasEnded).toBe(false);
    away.resolve();
    const { times, intervals } = await killing;
    expect(times).toEqual(new Map([['slow', 20]]));
    expect(intervals).toHaveLength(20);
    expect(intervals).toEqual(intervals.toSorted((one, other) => one - other));
  });

  test('has not killed whoever was not there, and takes the next one', async () => {
    const nobody: Victim = { name: 'nobody', hit: async () => null };
    const somebody: Victim = { name: 'somebody', hit: async () => ({ back: Promise.resolve() }) };
    const stop = new AbortController();
    let hits = 0;
    const { times, intervals } = await kill([nobody, somebody], chanceOf(2), EVERY, null, stop.signal, () => {
      if (++hits === 5) stop.abort();
    });
    expect(Object.fromEntries(times)).toEqual({ nobody: 0, somebody: 5 });
    expect(intervals).toHaveLength(5);
  });

  test('ends by itself after so many', async () => {
    const somebody: Victim = { name: 'somebody', hit: async () => ({ back: Promise.resolve() }) };
    const never = new AbortController();
    const { intervals } = await kill([somebody], chanceOf(4), EVERY, 7, never.signal, () => undefined);
    expect(intervals).toHaveLength(7);
  });

  test('ends at once where somebody does not come back', async () => {
    const lost: Victim = {
      name: 'lost',
      hit: async () => ({ back: Promise.reject(new Error('no disk')) }),
    };
    const never = new AbortController();
    const killing = kill([lost], chanceOf(3), [1, 1], null, never.signal, () => undefined);
    await expect(killing).rejects.toThrow('no disk');
  });
});

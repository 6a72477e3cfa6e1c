import { expect, test } from 'vitest';
import type { DnsAnswer } from '../../src/dns/message.ts';
import { limits } from '../../src/limits.ts';
import { askingInTurn } from '../../src/routing/asking.ts';

const NOTHING: DnsAnswer = {
  ...{ records: [], isAuthentic: false, timeToLive: null, exists: true, canonical: null },
};

test('attack: a domain that leads to many questions does not keep others from theirs', async () => {
  const asked: string[] = [];
  const ends: (() => void)[] = [];
  const ask = askingInTurn(({ name }) => {
    asked.push(name);
    return new Promise((resolve) => ends.push(() => resolve(NOTHING)));
  });
  const [hostile, other] = [new AbortController().signal, new AbortController().signal];
  const many = limits.routing.questions * 3;
  const all = [
    ...Array.from({ length: many }, (_, i) => ask({ name: `mx${i}.hostile.example`, type: 1 }, hostile)),
    ask({ name: 'partner.example', type: 15 }, other),
  ];
  expect(asked).toHaveLength(limits.routing.questions);
  for (let i = 0; i < many + 1; i++) {
    ends[i]?.();
    await all[i < 2 ? i : 0];
    await new Promise(setImmediate);
  }
  await Promise.all(all);
  expect(asked).toHaveLength(many + 1);
  // The second that had its turn after those that were there before.
  expect(asked.indexOf('partner.example')).toBe(limits.routing.questions + 1);
});

import { describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import type { Event } from '../../src/log/events.ts';
import { refreshTime } from '../../src/revocation/evidence.ts';
import { EvidenceKeeper, type Wanted } from '../../src/revocation/evidence-keeper.ts';
import { ecKey, now } from '../pki/make-certificate.ts';
import { hour, later, makeCrlDer } from '../pki/make-crl.ts';

const octets = makeCrlDer({ issuer: 'Root', key: ecKey('Root') });

function keeper() {
  const events: Event[] = [];
  const never = new AbortController().signal;
  const parts = { file: null, maxAgeMs: null, clock: () => now, deadline: () => never };
  return { events, keeper: new EvidenceKeeper({ ...parts, log: { write: (event) => events.push(event) } }) };
}

function wanted(key: string, changes: Partial<Wanted> = {}): Wanted {
  return {
    ...{ key, kind: 'crl', place: 'http://crl.example/', problem: () => null },
    load: async () => ({ kind: 'fetched', octets }),
    ...changes,
  };
}

describe('what is kept', () => {
  test('a defect in a flight that nobody waits for ends nothing but the flight', async () => {
    const { events, keeper: kept } = keeper();
    const defect = () => {
      throw new TypeError('a defect');
    };
    expect(await kept.fetch(wanted('a', { problem: defect }))).toMatchObject({ kind: 'failed' });
    expect(await kept.fetch(wanted('b', { load: defect }))).toMatchObject({ kind: 'failed' });
    expect(events.filter(({ event }) => event === 'gateway.defect')).toHaveLength(2);
  });

  test('no more at once than the limit, the others after them', async () => {
    const { keeper: kept } = keeper();
    let running = 0;
    let most = 0;
    const gates: (() => void)[] = [];
    const load = async () => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => gates.push(resolve));
      running--;
      return { kind: 'fetched', octets } as const;
    };
    const all = Array.from({ length: 40 }, (_, i) => kept.fetch(wanted(String(i), { load })));
    let done = false;
    const finished = Promise.all(all).then((found) => {
      done = true;
      return found;
    });
    while (!done) {
      gates.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(most).toBe(limits.revocation.fetches);
    expect((await finished).every(({ kind }) => kind === 'found')).toBe(true);
  });

  test('what was to be left alone for years, because the clock was ahead, is asked again when it is set back', async () => {
    const time = { now: later(10 * 365 * 24 * hour) };
    const parts = { file: null, maxAgeMs: null, clock: () => time.now, log: { write: () => undefined } };
    const kept = new EvidenceKeeper({ ...parts, deadline: () => new AbortController().signal });
    const failing = wanted('a', { load: async () => ({ kind: 'failed', text: 'is away.' }) });
    expect(await kept.fetch(failing)).toMatchObject({ kind: 'failed' });
    expect(kept.isDue(failing)).toBe(false);
    time.now = now;
    expect(kept.isDue(failing)).toBe(true);
    expect(await kept.fetch(wanted('a'))).toMatchObject({ kind: 'found' });
    expect(kept.isDue(wanted('a'))).toBe(false);
  });

  test('a refusal of a responder is nothing to keep', async () => {
    const { keeper: kept } = keeper();
    const refused = async () => ({ kind: 'fetched', octets: Buffer.from('30030a0103', 'hex') }) as const;
    const asking = wanted('a', { kind: 'ocsp', load: refused, problem: () => 'It is a refusal (tryLater).' });
    expect(await kept.fetch(asking)).toEqual({ kind: 'failed', text: expect.stringContaining('tryLater') });
    expect(await kept.recall(asking)).toBeNull();
  });
});

describe('when newer evidence is fetched', () => {
  const window = { from: now, until: later(8 * hour) };

  test('after three quarters of its time, of the setting where that is shorter', () => {
    expect(refreshTime(window, null, now)).toEqual(later(6 * hour));
    expect(refreshTime(window, 4 * hour, now)).toEqual(later(3 * hour));
  });

  test('again after a while where nothing newer came, and never at once', () => {
    expect(refreshTime(window, null, later(7 * hour))).toEqual(later(7.25 * hour));
    expect(refreshTime(window, null, later(9 * hour))).toEqual(new Date(later(9 * hour).getTime() + 60_000));
    const year = { from: now, until: later(365 * 24 * hour) };
    expect(refreshTime(year, null, now)).toEqual(later(24 * hour));
    expect(refreshTime(year, null, later(300 * 24 * hour))).toEqual(later(300 * 24 * hour + hour));
  });
});

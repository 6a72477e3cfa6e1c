import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextAttempt, waitAfter } from '../../src/queue/schedule.ts';

const HOUR_MS = 3_600_000;
const time = fc.integer({ min: 0, max: 4_102_444_800_000 });
/** From nothing to a month. */
const life = fc.integer({ min: 0, max: 31 * 24 * HOUR_MS });

test('waits grow and never shrink, and stay between a minute and two hours', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (attempts) => {
      expect(waitAfter(attempts)).toBeGreaterThanOrEqual(60_000);
      expect(waitAfter(attempts)).toBeLessThanOrEqual(2 * HOUR_MS);
      expect(waitAfter(attempts + 1)).toBeGreaterThanOrEqual(waitAfter(attempts));
    }),
  );
});

test('an attempt is always later than the last one, never after the expiry, and there is none from then on', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000 }),
      time,
      fc.integer({ min: -HOUR_MS, max: HOUR_MS * 800 }),
      (attempts, at, left) => {
        const now = new Date(at);
        const expiresAt = new Date(at + left);
        const next = nextAttempt(attempts, now, expiresAt);
        if (left <= 0) expect(next).toBeNull();
        else {
          expect(next?.getTime()).toBeGreaterThan(at);
          expect(next?.getTime()).toBeLessThanOrEqual(expiresAt.getTime());
        }
      },
    ),
  );
});

test('whatever its life and however long each attempt takes, a delivery ends, tried at least once at its expiry or after', () => {
  fc.assert(
    fc.property(
      time,
      life,
      fc.array(fc.integer({ min: 0, max: HOUR_MS }), { minLength: 1, maxLength: 20 }),
      (start, lasts, durations) => {
        const expiresAt = new Date(start + lasts);
        let now = new Date(start);
        let attempts = 0;
        for (;;) {
          now = new Date(now.getTime() + (durations[attempts % durations.length] ?? 0));
          attempts++;
          const next = nextAttempt(attempts, now, expiresAt);
          if (next === null) break;
          now = next;
          // 31 days in steps of two hours, and the quick ones before.
          expect(attempts).toBeLessThan(31 * 12 + 10);
        }
        expect(now.getTime()).toBeGreaterThanOrEqual(expiresAt.getTime());
      },
    ),
  );
});

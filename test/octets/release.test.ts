import { expect, it } from 'vitest';
import { release } from '../../src/octets/release.ts';

it('gives back what has memory of its own, and touches nothing else', () => {
  const own = Buffer.allocUnsafeSlow(100_000);
  release(own);
  expect(own.length).toBe(0);
  const whole = Buffer.alloc(100, 'x');
  release(whole.subarray(0, 50));
  expect(whole.toString()).toBe('x'.repeat(100));
  const pooled = Buffer.from('a few octets');
  const neighbour = Buffer.from('others');
  release(pooled);
  expect([pooled.toString(), neighbour.toString()]).toEqual(['a few octets', 'others']);
  const nothing = Buffer.alloc(0);
  release(nothing);
  expect(nothing.subarray(0).length).toBe(0);
});

import { describe, expect, test } from 'vitest';
import { keyAgreement } from './behaviour/key-agreement.ts';
import { keyTransport } from './behaviour/key-transport.ts';
import { signing } from './behaviour/signing.ts';
import type { Expected, KeyUnderTest } from './key-under-test.ts';
import { codeOf } from './refusal.ts';

export { present, refusal } from './refusal.ts';

/**
 * What every implementation of the two key interfaces must do, whatever holds the private key. What one cannot do is told by
 * its inventory, and what is told is exactly what works: an ability that is told and fails is a failure of the test, and so is
 * one that is not told and is not refused.
 */

export function keyBehaviour(name: string, expected: Expected, get: () => KeyUnderTest): void {
  describe(name, () => {
    test('tells what it does', () => {
      const { schemes, opens } = get().description;
      expect([...new Set(schemes.map(({ kind }) => kind))]).toEqual(expected.signs);
      expect([...opens].sort()).toEqual([...expected.opens].sort());
    });
    signing(expected.kind, get);
    keyTransport(expected.kind, get);
    keyAgreement(expected.kind, get);
    test('ML-KEM that is not told is refused', async () => {
      const { place, description } = get();
      expect(description.opens).not.toContain('decapsulate');
      const operation = {
        kind: 'decapsulate',
        key: description.key,
        ciphertext: Buffer.alloc(1_088),
      } as const;
      expect(await codeOf(place.perform(operation))).toEqual(['key.refused', 'permanent']);
    });
  });
}

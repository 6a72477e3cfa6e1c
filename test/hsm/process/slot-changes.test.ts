import pkcs11 from 'pkcs11js';
import { describe, expect, test } from 'vitest';
import { SlotChanges } from '../../../src/hsm/process/slot-changes.ts';

/** A module with slots that change; whatever else is asked of it is an error. */
function module(tellsEvents: boolean): {
  module: pkcs11.PKCS11;
  slots: number[];
  events: number[];
} {
  const [slots, events]: [number[], number[]] = [[], []];
  const calls = {
    C_GetSlotList: () => slots.map((slot) => Buffer.of(slot)),
    C_WaitForSlotEvent(flags: number) {
      expect(flags).toBe(pkcs11.CKF_DONT_BLOCK);
      if (!tellsEvents) throw new Error('CKR_FUNCTION_NOT_SUPPORTED:84');
      const slot = events.shift();
      return slot === undefined ? null : Buffer.of(slot);
    },
  };
  return { module: calls as unknown as pkcs11.PKCS11, slots, events };
}

describe('whether another card may be there, without a word to any', () => {
  test('one comes, stays, is exchanged between two looks, and goes', () => {
    const reader = module(true);
    const changes = new SlotChanges(reader.module);
    expect(changes.since()).toEqual({ present: 0, change: 'no' });
    reader.slots.push(1);
    reader.events.push(1);
    expect(changes.since()).toEqual({ present: 1, change: 'yes' });
    expect(changes.since()).toEqual({ present: 1, change: 'no' });
    reader.events.push(1, 1);
    expect(changes.since()).toEqual({ present: 1, change: 'yes' });
    expect(changes.since()).toEqual({ present: 1, change: 'no' });
    reader.slots.pop();
    expect(changes.since()).toEqual({ present: 0, change: 'yes' });
  });

  test('a module that tells of no events: an exchange cannot be told from nothing', () => {
    const reader = module(false);
    const changes = new SlotChanges(reader.module);
    reader.slots.push(1);
    expect(changes.since()).toEqual({ present: 1, change: 'yes' });
    expect(changes.since()).toEqual({ present: 1, change: 'unknown' });
  });

  test('a module that never stops telling of events holds nothing up', () => {
    const reader = module(true);
    reader.events.push(...Array.from({ length: 10_000 }, () => 1));
    expect(new SlotChanges(reader.module).since().change).toBe('yes');
    expect(reader.events.length).toBeGreaterThan(9_000);
  });
});

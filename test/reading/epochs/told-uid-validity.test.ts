import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type ToldMailbox, toldNow } from '../../../src/reading/epochs/told-uid-validity.ts';

const LARGEST = 0xffff_ffff;

function told(named: ToldMailbox | null, upstream: number, due = 0, key = 'name A'): ToldMailbox {
  const found = toldNow(named, null, { key, upstream, due, seconds: 0 });
  if (found.kind !== 'told') throw new Error(found.kind);
  return found.row;
}

describe('the UIDVALIDITY that clients are told', () => {
  it('is the mail server’s as long as there is no epoch, whatever that does', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: LARGEST })), (all) => {
        let row: ToldMailbox | null = null;
        for (const upstream of all) {
          row = told(row, upstream);
          expect(row.told).toBe(upstream);
        }
        expect(row?.highest ?? 0).toBe(all.reduce((one, other) => Math.max(one, other), 0));
      }),
    );
  });

  it('is another one from the first epoch on, whether the mailbox was known or not', () => {
    expect(told(null, 7, 1).told).toBe(8);
    expect(told(told(null, 7), 7, 1).told).toBe(8);
    expect(told(told(null, 7), 9, 1).told).toBe(10);
    expect(told(told(null, 9), 7, 1).told).toBe(10);
  });

  it('follows the mail server again when that is larger, and stays larger when that is smaller', () => {
    const first = told(null, 7, 1);
    expect(told(first, 1_000, 1).told).toBe(1_000);
    expect(told(told(first, 1_000, 1), 3, 1).told).toBe(1_001);
  });

  it('is no smaller than the time, so that what was told and forgotten is not told again', () => {
    const now = { key: 'name A', upstream: 7, due: 1, seconds: 1_700_000_000 };
    const first = toldNow(null, null, now);
    expect(first).toMatchObject({ row: { told: 1_700_000_000 } });
    if (first.kind !== 'told') throw new Error(first.kind);
    expect(toldNow(first.row, null, { ...now, seconds: 1_800_000_000 })).toMatchObject({ row: first.row });
    expect(toldNow(first.row, null, { ...now, due: 2 })).toMatchObject({ row: { told: 1_700_000_001 } });
    expect(told(null, 7).told).toBe(7);
  });

  it('at its largest stays what it is in a new epoch, and tells nothing of another mailbox', () => {
    const last = told(null, LARGEST);
    expect(toldNow(last, null, { key: 'name A', upstream: LARGEST, due: 1, seconds: 0 })).toEqual({
      kind: 'cannot-begin',
      row: { ...last, epoch: 1 },
    });
    expect(toldNow({ ...last, epoch: 1 }, null, { key: 'name A', upstream: 5, due: 1, seconds: 0 })).toEqual({
      kind: 'exhausted',
    });
    expect(toldNow(null, null, { key: 'name A', upstream: LARGEST, due: 1, seconds: 0 })).toMatchObject({
      kind: 'cannot-begin',
      row: { told: LARGEST },
    });
  });

  it('goes with a mailbox to another name, unless more was told under that one', () => {
    const moved = { key: 'id 1', upstream: 7, epoch: 1, told: 8, highest: 8 };
    const now = { key: 'id 1', upstream: 7, due: 1, seconds: 0 };
    expect(toldNow(null, moved, now)).toMatchObject({ row: { told: 8 } });
    const other = { key: 'id 2', upstream: 8, epoch: 0, told: 8, highest: 8 };
    expect(toldNow(other, moved, now)).toMatchObject({ row: { told: 9 } });
    expect(toldNow({ ...other, highest: 5 }, moved, now)).toMatchObject({ row: { told: 8 } });
  });
});

/** Everything that can happen to the mailboxes of a login, in any order. */
type Happening =
  | { kind: 'select' }
  | { kind: 'changed'; upstream: number }
  | { kind: 'replaced'; upstream: number }
  | { kind: 'epoch' };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.constant<Happening>({ kind: 'select' }),
  fc.integer({ min: 1, max: 12 }).map((upstream): Happening => ({ kind: 'changed', upstream })),
  fc.integer({ min: 1, max: 12 }).map((upstream): Happening => ({ kind: 'replaced', upstream })),
  fc.constant<Happening>({ kind: 'epoch' }),
);

test.each([true, false])(
  'after the first epoch it is larger with every change and the same without one (ids: %s)',
  (ids) => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (all) => {
        let row: ToldMailbox | null = null;
        let id = 1;
        let upstream = 5;
        let due = 0;
        const last = { told: 0, of: '' };
        let most = 0;
        for (const each of all) {
          if (each.kind === 'epoch') due++;
          if (each.kind === 'changed' || each.kind === 'replaced') upstream = each.upstream;
          if (each.kind === 'replaced') id++;
          if (each.kind !== 'select') continue;
          row = told(row, upstream, due, ids ? `id ${id}` : 'name A');
          const of: string = `${ids ? id : 0} ${upstream} ${due}`;
          if (due === 0) expect(row.told).toBe(upstream);
          else if (last.of === of) expect(row.told).toBe(last.told);
          else expect(row.told).toBeGreaterThan(most);
          most = Math.max(most, row.told);
          Object.assign(last, { told: row.told, of });
        }
      }),
      { numRuns: 2_000 },
    );
  },
);

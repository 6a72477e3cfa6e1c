import { describe, expect, test } from 'vitest';
import { exchangers } from '../../src/routing/mail-exchangers.ts';
import { mxRecord } from './support/records.ts';

const order = (
  records: readonly Buffer[],
  { ownNames = [], random = () => 0 }: { ownNames?: readonly string[]; random?: () => number } = {},
) => exchangers(records, { ownNames, random });
const names = (...records: readonly Buffer[]) => {
  const found = order(records);
  return found.kind === 'hosts' ? found.names : found;
};

describe('mail servers of a domain', () => {
  test('come by preference, and equals in any order', () => {
    const records = [mxRecord(20, 'c.x'), mxRecord(10, 'a.x'), mxRecord(10, 'b.x'), mxRecord(5, 'd.x')];
    const seen = new Set<string>();
    for (let i = 0; i < 100; i++) {
      const found = order(records, { random: () => ((i * 7919) % 100) / 100 });
      if (found.kind !== 'hosts') throw new Error('none');
      seen.add(found.names.join(' '));
    }
    expect([...seen].sort()).toEqual(['d.x a.x b.x c.x', 'd.x b.x a.x c.x']);
  });

  test('are each tried once, and not endlessly many', () => {
    expect(names(mxRecord(10, 'a.x'), mxRecord(20, 'a.x'))).toEqual(['a.x']);
    const many = Array.from({ length: 100 }, (_, i) => mxRecord(i, `mx${i}.x`));
    expect(names(...many)).toHaveLength(10);
  });

  test('are the domain itself where it names none', () => {
    expect(names()).toEqual({ kind: 'implicit' });
  });

  test('are none where the domain takes no mail; the root beside others is no server (RFC 7505)', () => {
    expect(names(mxRecord(0, ''))).toMatchObject({ kind: 'failed', status: '5.1.10' });
    expect(names(mxRecord(0, ''), mxRecord(10, 'a.x'))).toEqual(['a.x']);
    expect(names(mxRecord(0, ''), mxRecord(1, ''))).toMatchObject({ kind: 'failed', status: '5.4.4' });
  });

  test('that are no names are passed over', () => {
    expect(names(Buffer.alloc(2), Buffer.from('0001', 'hex'), mxRecord(10, 'a.x'))).toEqual(['a.x']);
    expect(names(Buffer.from([0, 1, 3, 0x61, 0x20, 0x62, 0]))).toMatchObject({ status: '5.4.4' });
  });
});

describe('a gateway that is among them', () => {
  const records = [
    mxRecord(10, 'first.x'),
    mxRecord(20, 'gw.x'),
    mxRecord(20, 'equal.x'),
    mxRecord(30, 'last.x'),
  ];

  test('hands on to those before it alone', () => {
    expect(order(records, { ownNames: ['gw.x'] })).toMatchObject({ kind: 'hosts', names: ['first.x'] });
  });

  test('does not send mail in circles where it is the first', () => {
    expect(order(records.slice(1), { ownNames: ['gw.x'] })).toMatchObject({
      kind: 'failed',
      status: '5.4.6',
    });
  });
});

import { expect, test } from 'vitest';
import { clearSignedEras, readMailboxEras, writeMailboxEras } from '../../src/reading/message-eras.ts';

const NONE = readMailboxEras('');
const SEEN = readMailboxEras('1 shell');

test('clear-signed mail keeps what it was when its mailbox was first seen', () => {
  expect(clearSignedEras(NONE, 'overlay', 7)).toEqual([{ from: 1, kind: 'overlay' }]);
  expect(clearSignedEras(SEEN, 'overlay', 7)).toEqual([
    { from: 1, kind: 'identity' },
    { from: 7, kind: 'overlay' },
  ]);
  expect(clearSignedEras(SEEN, 'identity', 7)).toEqual([]);
  expect(clearSignedEras(readMailboxEras('1 shell;1 overlay'), 'identity', 7)).toEqual([
    { from: 1, kind: 'overlay' },
    { from: 7, kind: 'identity' },
  ]);
  // Nobody knows what has arrived: nothing changes until somebody does.
  expect(clearSignedEras(SEEN, 'overlay', null)).toEqual([{ from: 1, kind: 'identity' }]);
});

test('what is written is read back, and what was written before there was clear-signed mail in it', () => {
  const eras = { ...SEEN, clearSigned: clearSignedEras(SEEN, 'overlay', 7) };
  expect(readMailboxEras(writeMailboxEras(eras))).toEqual(eras);
  expect(writeMailboxEras(SEEN)).toBe('1 shell');
  expect(SEEN).toEqual({ encrypted: [{ from: 1, kind: 'shell' }], clearSigned: [], foreign: null });
  const foreign = { asking: true, from: 9, foreign: new Set([3, 7]), shown: new Set([11]) };
  expect(writeMailboxEras({ ...SEEN, foreign })).toBe('1 shell;;on 9 3,7 11');
  expect(readMailboxEras('1 shell;;on 9 3,7 11')).toEqual({ ...SEEN, foreign });
  expect(readMailboxEras('1 shell;;off 9  ').foreign).toEqual({
    ...{ asking: false, from: 9, foreign: new Set(), shown: new Set() },
  });
});

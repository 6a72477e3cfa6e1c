import { expect, test } from 'vitest';
import { HOLD, RELEASE, RETRY } from '../../src/commands/queue-changes.ts';
import { deliveryPage } from '../../src/commands/queue-text.ts';
import type { MailId } from '../../src/ids.ts';
import type { Delivery } from '../../src/queue/delivery-rows.ts';
import type { DeliveryId } from '../../src/queue/ports.ts';

const NOW = new Date('2026-11-22T12:00:00Z');
const delivery: Delivery = {
  ...{ id: 'd1' as DeliveryId, spool: 's1', mail: 'm1' as MailId, purpose: 'submitted' },
  ...{ way: { kind: 'smtp', destination: 'server' }, destination: 'server', reversePath: null },
  ...{ mailParameters: [], requireTls: 'no', octets: 7, attempts: 0, lastAt: null, delayTold: false },
  ...{ heldAt: null, lease: null, fence: 0, recipients: [], taken: [] },
  ...{ enqueuedAt: NOW, nextAt: NOW, expiresAt: new Date('2026-11-27T12:00:00Z') },
};

test('each delivery by SMTP shows its destination, as “queue flush” wants it', () => {
  expect(deliveryPage(delivery, NOW)).toContain('\n  destination server\n');
});

test('what is due and not under way says what it may wait for; what is not due says when', () => {
  expect(deliveryPage(delivery, NOW)).toMatch(
    / {2}due since 2026-11-22T12:00:00.000Z: .*queue\.paused in the log/,
  );
  expect(deliveryPage(delivery, new Date(NOW.getTime() - 1))).toContain(
    'next attempt 2026-11-22T12:00:00.000Z',
  );
});

test('why nothing was done to what is there is said, with the next step', () => {
  expect(RETRY.left(3, { all: 3, held: 0 })).toBe('');
  expect(RETRY.left(3, { all: 5, held: 2 })).toBe('2 deliveries are held until “sealgate queue release”.');
  expect(RETRY.left(0, { all: 1, held: 1 })).toBe('One delivery is held until “sealgate queue release”.');
  expect(RETRY.left(0, { all: 1, held: 0 })).toBe(
    'Its time has not begun: name it by its id, if that is meant.',
  );
  expect(HOLD.left(0, { all: 1, held: 1 })).toBe('One delivery is held already.');
  expect(RELEASE.left(0, { all: 1, held: 0 })).toBe('Nothing of that is held.');
  expect(RELEASE.left(0, { all: 0, held: 0 })).toBe('');
});

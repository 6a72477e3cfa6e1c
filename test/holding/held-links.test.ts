import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HeldLinks } from '../../src/holding/held-links.ts';
import { newMailId } from '../../src/ids.ts';
import { DAY_MS } from '../queue/support/queue.ts';

const secret = Buffer.alloc(32, 7);
const time = { now: new Date('2026-03-01T12:00:00Z') };
const links = new HeldLinks(secret, () => time.now);
const expiresAt = new Date(time.now.getTime() + 14 * DAY_MS);

test('a link opens what it was made for, as long as that waits', () => {
  const id = newMailId();
  const token = links.toMail({ id, expiresAt });
  expect(links.read(token)).toEqual({ kind: 'mail', id });
  const list = links.toList('jörg+a.b@example.org');
  expect(links.read(list)).toEqual({ kind: 'list', address: 'jörg+a.b@example.org' });
  time.now = new Date(time.now.getTime() + 4 * DAY_MS);
  expect(links.read(list)).toBeNull();
  expect(links.read(token)).not.toBeNull();
  time.now = expiresAt;
  expect(links.read(token)).toBeNull();
  time.now = new Date('2026-03-01T12:00:00Z');
});

test('no other token opens anything: any change, any other secret, any other spelling', () => {
  const token = links.toMail({ id: newMailId(), expiresAt });
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.constantFrom(...'AZaz09-_=+/. '), (at, character) => {
      const changed = `${token.slice(0, at)}${character}${token.slice(at + 1)}`;
      return changed === token || links.read(changed) === null;
    }),
    { numRuns: 500 },
  );
  fc.assert(fc.property(fc.string(), (text) => links.read(text) === null));
  for (const text of [
    `${token}=`,
    `${token} `,
    ` ${token}`,
    `${token}A`,
    token.slice(1),
    token.slice(0, -1),
    '',
  ]) {
    expect(links.read(text), text).toBeNull();
  }
  expect(links.read('A'.repeat(100_000))).toBeNull();
  expect(new HeldLinks(Buffer.alloc(32, 8), () => time.now).read(token)).toBeNull();
});

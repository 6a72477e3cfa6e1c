import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';

/** A whole gateway whose disk says that it has no more room than is to stay free. */
vi.mock('node:fs/promises', async (original) => {
  const there = await original<typeof import('node:fs/promises')>();
  const statfs = async (path: string) => ({ ...(await there.statfs(path)), bavail: 1 });
  return { ...there, statfs };
});

let system: MailSystem;
beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob'],
    queue: {},
    submission: { delivery: 'queue' },
    pinned: ['bob'],
  });
});
afterAll(() => system.stop());

test('a client hears 452 before it sends its message, and nothing of it is kept', async () => {
  const sent = system.send('alice', { to: addressOf('bob'), subject: 'no room', text: 'x' });
  await expect(sent).rejects.toMatchObject({ responseCode: 452, command: 'DATA' });
  await expect(sent).rejects.toThrow(/452 4\.3\.1 /);
  expect(await readdir(join(system.folder, 'state', 'queue'))).toEqual([]);
  const said = system.events.map(({ event }) => event);
  expect(said).toContain('queue.full');
  expect(said).not.toContain('mail.taken');
});

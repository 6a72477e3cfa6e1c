import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { collectFrom } from '../../src/octets/collect.ts';
import { OwnKey } from '../../src/queue/own-key.ts';
import { SpoolFolder } from '../../src/queue/spool-folder.ts';
import { newOwnKey, ownIdentity } from './support/own-identity.ts';

/** As a file system has it that knows no links (FAT). */
vi.mock('node:fs/promises', async (original) => ({
  ...(await original<typeof import('node:fs/promises')>()),
  link: () => Promise.reject(Object.assign(new Error('not permitted'), { code: 'EPERM' })),
}));

test('where a file has one name only, each mail has a file of its own, and none is refused for that', async () => {
  const state = await mkdtemp(join(tmpdir(), 'sealgate-spool-'));
  try {
    const spool = await SpoolFolder.open(state, new OwnKey(ownIdentity([newOwnKey()])));
    const mails = Array.from({ length: 20 }, (_, i) => Buffer.from(`Subject: ${i}\r\n\r\n`));
    const names = await Promise.all(mails.map((octets) => spool.write(octets)));
    expect((await readdir(join(state, 'queue'))).sort()).toEqual([...names].sort());
    for (const [i, name] of names.entries()) {
      expect((await stat(join(state, 'queue', name))).nlink).toBe(1);
      expect(await collectFrom(await spool.read(name))).toEqual(mails[i]);
    }
  } finally {
    await rm(state, { recursive: true });
  }
});

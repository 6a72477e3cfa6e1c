import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mbsync } from '../support/services/mbsync.ts';
import { type AtRestSystem, aliceWrites, startAtRestSystem } from './support/at-rest.ts';

let mails: AtRestSystem;
beforeAll(async () => {
  mails = await startAtRestSystem([{ mailbox: ['*'], store: 'at-rest' }]);
});
afterAll(() => mails?.stop());

test.each([
  ['with UIDPLUS', undefined],
  ['without UIDPLUS, by its X-TUID', 'UIDPLUS'],
])('22: what is written near is pushed into a mailbox at rest, %s, and found again', async (_, without) => {
  const { system } = mails;
  await using near = await mbsync({
    port: system.imapPort,
    ...system.user('alice'),
    tls: 'implicit',
    caFile: system.pki.ca.certificateFile,
    patterns: 'INBOX',
    ...(without === undefined ? {} : { without }),
  });
  expect((await near.sync()).succeeded).toBe(true);
  const before = (await mails.kept('alice')).length;
  const subject = `written near ${without ?? ''}`;
  const octets = aliceWrites(subject, 'words that were written near\r\n');
  const name = `170000000${without === undefined ? 1 : 2}.1_1.here`;
  await writeFile(join(near.inbox, 'new', name), octets.toString('latin1').replace(/\r\n/g, '\n'), 'latin1');
  const pushed = await near.sync();
  expect(pushed.succeeded, pushed.transcript).toBe(true);
  const stored = await mails.kept('alice');
  expect(stored.length).toBeGreaterThan(before);
  expect(stored.includes('words that were written')).toBe(false);
  const listed = await names(near.inbox);
  const again = await near.sync();
  expect(again.succeeded, again.transcript).toBe(true);
  expect(await names(near.inbox)).toEqual(listed);
  expect((await mails.kept('alice')).length).toBe(stored.length);
  // Somebody else pulls what was pushed.
  await using other = await mbsync({
    port: system.imapPort,
    ...system.user('alice'),
    tls: 'implicit',
    caFile: system.pki.ca.certificateFile,
    patterns: 'INBOX',
  });
  const pulled = await other.sync();
  expect(pulled.succeeded, pulled.transcript).toBe(true);
  const files = await Promise.all(
    (await names(other.inbox)).map((path) => readFile(join(other.inbox, path), 'latin1')),
  );
  const wanted = octets.toString('latin1').replace(/\r\n/g, '\n');
  expect(files.map((text) => text.replace(/^X-TUID: .*\n/m, ''))).toContain(wanted);
});

async function names(folder: string): Promise<string[]> {
  const all = await Promise.all(
    ['new', 'cur'].map(async (part) => (await readdir(join(folder, part))).map((name) => join(part, name))),
  );
  return all.flat().sort();
}

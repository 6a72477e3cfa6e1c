import { mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OwnKey } from '../../src/queue/own-key.ts';
import { SpoolFolder } from '../../src/queue/spool-folder.ts';
import { newOwnKey, ownIdentity } from './support/own-identity.ts';

const key = newOwnKey();
const other = newOwnKey();
const MAIL = Buffer.from('Subject: secret plans\r\n\r\nThe text of a mail that nobody else may read.\r\n');
const HOUR = 3_600_000;

let state = '';
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'sealgate-spool-'));
});
afterEach(() => rm(state, { recursive: true }));

const open = (...keys: Parameters<typeof ownIdentity>) =>
  SpoolFolder.open(state, new OwnKey(ownIdentity(...keys)));
const inSpool = (name: string) => join(state, 'queue', name);

test('what is written is read again, by another process too, and nobody else can read the file', async () => {
  const name = await (await open([key])).write(MAIL);
  expect(await (await open([key])).read(name)).toEqual(MAIL);
  const file = await readFile(inSpool(name));
  expect(file.includes('secret')).toBe(false);
  expect((await stat(inSpool(name))).mode & 0o777).toBe(0o600);
  expect((await stat(join(state, 'queue'))).mode & 0o777).toBe(0o700);
});

test('an empty mail is a mail', async () => {
  const spool = await open([key]);
  expect(await spool.read(await spool.write(Buffer.alloc(0)))).toEqual(Buffer.alloc(0));
});

test('a new key seals, and the former one still opens', async () => {
  const name = await (await open([key])).write(MAIL);
  expect(await (await open([other, key])).read(name)).toEqual(MAIL);
});

test('a key that is not configured any more, or away, is no damage', async () => {
  const name = await (await open([key])).write(MAIL);
  await expect((await open([other])).read(name)).rejects.toMatchObject({
    ...{ code: 'key.unavailable', duration: 'temporary' },
  });
  await expect((await open([key], { away: true })).read(name)).rejects.toMatchObject({
    ...{ code: 'key.unavailable', duration: 'temporary' },
  });
});

test('sealing needs no private key', async () => {
  const name = await (await open([key], { away: true })).write(MAIL);
  expect(await (await open([key])).read(name)).toEqual(MAIL);
});

test('a file that was changed, cut off, exchanged or taken away is damaged', async () => {
  const spool = await open([key]);
  const damaged = { code: 'queue.damaged', duration: 'permanent' };
  const [changed, cut, one, two, gone] = [
    ...[await spool.write(MAIL), await spool.write(MAIL), await spool.write(MAIL)],
    ...[await spool.write(MAIL), await spool.write(MAIL)],
  ] as [string, string, string, string, string];
  const octets = await readFile(inSpool(changed));
  octets[octets.length - 20] = (octets[octets.length - 20] ?? 0) ^ 1;
  await writeFile(inSpool(changed), octets);
  await writeFile(inSpool(cut), (await readFile(inSpool(cut))).subarray(0, 200));
  await rename(inSpool(one), inSpool(two));
  await rm(inSpool(gone));
  for (const name of [changed, cut, two, gone, '../installation.json', '']) {
    await expect(spool.read(name)).rejects.toMatchObject(damaged);
  }
});

test('what has no row goes after thirty days, and nothing else: it may be what a lost database knew of', async () => {
  const spool = await open([key]);
  const [kept, old, orphan, fresh] = await Promise.all([1, 2, 3, 4].map(() => spool.write(MAIL)));
  if (kept === undefined || old === undefined || orphan === undefined) throw new Error('not spooled');
  await writeFile(inSpool('README'), 'not ours');
  const now = new Date();
  for (const name of [kept, old, 'README']) {
    await utimes(inSpool(name), now, new Date(now.getTime() - 31 * 24 * HOUR));
  }
  await utimes(inSpool(orphan), now, new Date(now.getTime() - 29 * 24 * HOUR));
  expect(await spool.sweep(new Set([kept]), now)).toEqual({ removed: 1, orphans: 1 });
  expect((await readdir(join(state, 'queue'))).sort()).toEqual([kept, orphan, fresh, 'README'].sort());
});

test('removing what is not there is nothing', async () => {
  const spool = await open([key]);
  const name = await spool.write(MAIL);
  await spool.remove(name);
  await spool.remove(name);
  await spool.remove('../installation.json');
  expect(await readdir(join(state, 'queue'))).toEqual([]);
});

test('a folder that cannot be written to is a refusal for now', async () => {
  const spool = await open([key]);
  await rm(join(state, 'queue'), { recursive: true });
  await expect(spool.write(MAIL)).rejects.toMatchObject({ code: 'queue.spool', duration: 'temporary' });
});

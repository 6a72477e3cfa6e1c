import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { collectFrom } from '../../src/octets/collect.ts';
import { OwnKey } from '../../src/queue/own-key.ts';
import { SpoolFolder } from '../../src/queue/spool-folder.ts';
import { newOwnKey, ownIdentity } from './support/own-identity.ts';

const key = newOwnKey();
const other = newOwnKey();
const MAIL = Buffer.from('Subject: secret plans\r\n\r\nThe text of a mail that nobody else may read.\r\n');

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
  expect(await collectFrom(await (await open([key])).read(name))).toEqual(MAIL);
  const file = await readFile(inSpool(name));
  expect(file.includes('secret')).toBe(false);
  expect((await stat(inSpool(name))).mode & 0o777).toBe(0o600);
  expect((await stat(join(state, 'queue'))).mode & 0o777).toBe(0o700);
});

test('an empty mail is a mail', async () => {
  const spool = await open([key]);
  expect(await collectFrom(await spool.read(await spool.write(Buffer.alloc(0))))).toEqual(Buffer.alloc(0));
});

test('a new key seals, and the former one still opens', async () => {
  const name = await (await open([key])).write(MAIL);
  expect(await collectFrom(await (await open([other, key])).read(name))).toEqual(MAIL);
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
  expect(await collectFrom(await (await open([key])).read(name))).toEqual(MAIL);
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

test('what has no row is found, however new it is', async () => {
  const spool = await open([key]);
  // One after another: each has a file of its own.
  const kept = await spool.write(MAIL);
  const orphan = await spool.write(MAIL);
  await writeFile(inSpool('README'), 'not ours');
  expect(await spool.unnamed(new Set([kept]))).toEqual([orphan]);
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

/** Octets that differ from place to place. */
const patterned = (length: number) => Buffer.from(Array.from({ length }, (_, i) => (i * 7 + (i >> 9)) & 255));

test('mails that come at the same moment share a file, and each is read, damaged and removed by itself', async () => {
  const spool = await open([key]);
  const mails = Array.from({ length: 150 }, (_, i) =>
    Buffer.from(`Subject: ${i}\r\n\r\n${'x'.repeat(i)}\r\n`),
  );
  const names = await Promise.all(mails.map((octets) => spool.write(octets)));
  const [last = ''] = names.slice(-1);
  expect((await stat(inSpool(last))).nlink).toBeGreaterThan(1);
  const other = await open([key]);
  for (const [i, name] of names.entries()) {
    expect(await collectFrom(await other.read(name))).toEqual(mails[i]);
    await spool.remove(name);
    await expect(other.read(name)).rejects.toMatchObject({ code: 'queue.damaged' });
  }
  expect(await readdir(join(state, 'queue'))).toEqual([]);
});

test('one use of the private key opens what came together, and is asked for again where it failed', async () => {
  const away = { away: true };
  const spool = await open([key], away);
  const names = await Promise.all([1, 2, 3, 4, 5].map(() => spool.write(MAIL)));
  await expect(spool.read(names[3] ?? '')).rejects.toMatchObject({ code: 'key.unavailable' });
  away.away = false;
  expect(await collectFrom(await spool.read(names[3] ?? ''))).toEqual(MAIL);
  away.away = true;
  expect(await collectFrom(await spool.read(names[4] ?? ''))).toEqual(MAIL);
});

test.each([...[65_535, 65_536, 65_537, 262_144, 262_145, 400_000]])(
  'a mail of %i octets is read as it was written, whole and in parts',
  async (length) => {
    const spool = await open([key]);
    const octets = patterned(length);
    const name = await spool.write({
      length,
      async *read() {
        for (let at = 0; at < length; at += 50_001) yield octets.subarray(at, at + 50_001);
      },
    });
    const mail = await (await open([key])).read(name);
    expect(mail.length).toBe(length);
    expect((await collectFrom(mail)).equals(octets)).toBe(true);
    for (const [start, end] of [
      [0, 1],
      [65_535, length],
      [1, length - 1],
      [length, length],
    ] as const) {
      expect((await collectFrom(mail, start, end)).equals(octets.subarray(start, end))).toBe(true);
    }
  },
);

test('of a long mail too, what was changed or cut anywhere is damaged before any of it is given out', async () => {
  const spool = await open([key]);
  const name = await spool.write(patterned(400_000));
  const octets = await readFile(inSpool(name));
  for (const at of [9, 30, 800, 200_000, octets.length - 1]) {
    const changed = Buffer.from(octets);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await writeFile(inSpool(name), changed);
    await expect((await open([key])).read(name), `octet ${at}`).rejects.toMatchObject({
      code: expect.stringMatching(/^queue\.damaged$|^key\.unavailable$/),
    });
  }
  await writeFile(inSpool(name), octets.subarray(0, octets.length - 1));
  await expect((await open([key])).read(name)).rejects.toMatchObject({ code: 'queue.damaged' });
});

test('a source that is not as long as it says is no mail, and nothing of it stays', async () => {
  const spool = await open([key]);
  const wrong = {
    length: 300_000,
    read: () =>
      (async function* () {
        yield Buffer.alloc(10);
      })(),
  };
  await expect(spool.write(wrong)).rejects.toMatchObject({ code: 'queue.spool' });
  expect(await readdir(join(state, 'queue'))).toEqual([]);
});

test('what a former version has written is read', async () => {
  const name = '0123456789abcdefghij';
  const own = new OwnKey(ownIdentity([key]));
  const spool = await open([key]);
  await writeFile(inSpool(name), await own.seal(Buffer.concat([Buffer.from(`${name}\r\n`), MAIL])));
  expect(await collectFrom(await spool.read(name))).toEqual(MAIL);
});

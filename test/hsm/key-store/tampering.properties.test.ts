import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SealgateError } from '../../../src/errors.ts';
import { readKeyFile, writeKeyFile } from '../../../src/hsm/key-store/key-file.ts';
import { createKeyStore, type KeyStore, openKeyStore } from '../../../src/hsm/key-store/key-store.ts';
import { isAuthenticHeader, readHeader, writeHeader } from '../../../src/hsm/key-store/store-header.ts';
import type { Unlock } from '../../../src/hsm/key-store/unlock.ts';
import { refusal } from '../support/key-behaviour.ts';
import { Folders, fingerprint, type Person, person, unlockingKey } from './people.ts';

const folders = new Folders();
afterAll(() => folders.remove());

const master = randomBytes(32);
const created = '2025-01-31T12:00:00.000Z';
let alice: Person;
let bob: Person;
let unlock: Unlock;

beforeAll(async () => {
  [alice, bob] = await Promise.all([person('p-256'), person('p-256', 'bob')]);
  unlock = { key: unlockingKey(await person('p-256', 'operator')) };
});

function fileOf({ privateKey, certificate }: Person, name: string, exportable = false): Buffer {
  return writeKeyFile(master, {
    name,
    created,
    exportable,
    use: 'sign',
    certificates: [certificate],
    privateKey,
  });
}

function codeOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    return (error as SealgateError).code;
  }
  return 'it was read';
}

async function storeWith(...names: readonly string[]): Promise<KeyStore> {
  const store = await createKeyStore(folders.fresh(), unlock);
  for (const name of names) {
    const { privateKey, certificate } = name === 'bob' ? bob : alice;
    await store.add(privateKey, [certificate], { name, exportable: false, use: 'sign' });
  }
  return store;
}

describe('a key file', () => {
  test('every changed octet is noticed, every missing one and every further one', () => {
    const octets = fileOf(alice, 'alice');
    expect(readKeyFile(master, 'file', 'alice', octets).name).toBe('alice');
    for (let at = 0; at < octets.length; at++) {
      const changed = Buffer.from(octets);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      expect(codeOf(() => readKeyFile(master, 'file', 'alice', changed))).toBe('key.store-malformed');
    }
    for (let length = 0; length < octets.length; length += 7) {
      expect(codeOf(() => readKeyFile(master, 'file', 'alice', octets.subarray(0, length)))).toBe(
        'key.store-malformed',
      );
    }
    for (const more of [' ', '\n', '\0', '{}']) {
      const longer = Buffer.concat([octets, Buffer.from(more)]);
      expect(codeOf(() => readKeyFile(master, 'file', 'alice', longer))).toBe('key.store-malformed');
    }
  });

  test('whatever is written is read as it was', () => {
    const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9@._+-]{0,99}$/);
    const use = fc.constantFrom('sign' as const, 'decrypt' as const, 'sign-and-decrypt' as const);
    fc.assert(
      fc.property(name, use, fc.boolean(), fc.boolean(), (called, meant, exportable, certified) => {
        const { privateKey, certificate } = alice;
        const certificates = certified ? [certificate, bob.certificate] : [];
        const octets = writeKeyFile(master, {
          name: called,
          created,
          exportable,
          use: meant,
          certificates,
          privateKey,
        });
        const read = readKeyFile(master, 'file', called, octets);
        expect([read.name, read.use, read.exportable, read.created]).toEqual([
          called,
          meant,
          exportable,
          created,
        ]);
        expect(read.certificates.map((each) => each.fingerprint)).toEqual(
          certificates.map((each) => each.fingerprint),
        );
        expect(fingerprint(read.privateKey)).toBe(fingerprint(privateKey));
        expect(codeOf(() => readKeyFile(randomBytes(32), 'file', called, octets))).toBe(
          'key.store-malformed',
        );
      }),
      { numRuns: 50 },
    );
  });

  test('every member of it from another file of the same store is noticed', () => {
    const [one, other] = [fileOf(alice, 'alice'), fileOf(bob, 'bob', true)].map((octets) =>
      JSON.parse(octets.toString()),
    ) as [Record<string, unknown>, Record<string, unknown>];
    const older = JSON.parse(fileOf(alice, 'alice').toString());
    for (const source of [other, older]) {
      for (const member of Object.keys(one).filter(
        (each) => JSON.stringify(source[each]) !== JSON.stringify(one[each]),
      )) {
        const mixed = Buffer.from(`${JSON.stringify({ ...one, [member]: source[member] }, null, 2)}\n`);
        expect(codeOf(() => readKeyFile(master, 'file', 'alice', mixed))).toBe('key.store-malformed');
        expect(codeOf(() => readKeyFile(master, 'file', 'bob', mixed))).toBe('key.store-malformed');
      }
    }
  });

  test('of arbitrary JSON and octets nothing comes but one refusal', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (octets) => {
          expect(codeOf(() => readKeyFile(master, 'file', 'alice', Buffer.from(octets)))).toBe(
            'key.store-malformed',
          );
          expect(codeOf(() => readHeader('file', Buffer.from(octets)))).toBe('key.store-malformed');
        },
      ),
    );
  });
});

describe('store.json', () => {
  test('every changed octet is noticed', () => {
    const wrapping = {
      kind: 'scrypt',
      cost: { n: 2 ** 17, r: 8, p: 1 },
      salt: randomBytes(32).toString('base64'),
      wrapped: randomBytes(48).toString('base64'),
    } as const;
    const octets = writeHeader(master, created, wrapping);
    expect(isAuthenticHeader(master, readHeader('file', octets))).toBe(true);
    for (let at = 0; at < octets.length; at++) {
      const changed = Buffer.from(octets);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const outcome = codeOf(() => {
        if (isAuthenticHeader(master, readHeader('file', changed))) throw new Error('authentic');
      });
      expect(['key.store-malformed', 'it was read']).toContain(outcome);
    }
  });

  test.each([
    ['more memory than there is', { n: 2 ** 30, r: 8, p: 1 }],
    ['a number that is no power of two', { n: 2 ** 17 + 1, r: 8, p: 1 }],
    ['no time at all', { n: 2, r: 8, p: 1 }],
    ['endless time', { n: 2 ** 17, r: 8, p: 2 ** 20 }],
    ['negative numbers', { n: 2 ** 17, r: -8, p: 1 }],
  ])('scrypt with %s is not begun', (_, cost) => {
    const octets = writeHeader(master, created, { kind: 'scrypt', cost, salt: '', wrapped: '' });
    expect(codeOf(() => readHeader('file', octets))).toBe('key.store-malformed');
  });

  test('sealed: every part that is changed makes it refuse', async () => {
    const store = await storeWith('alice');
    const file = join(store.folder, 'store.json');
    const octets = readFileSync(file);
    // Each takes a use of the key: some of all places.
    for (let at = 5; at < octets.length; at += 41) {
      const changed = Buffer.from(octets);
      changed[at] = (changed[at] ?? 0) ^ 1;
      writeFileSync(file, changed);
      const error = await refusal(openKeyStore(store.folder, unlock));
      expect(error.code).toMatch(/^(key|pki|asn1|cms)\./);
    }
    writeFileSync(file, octets);
    expect((await openKeyStore(store.folder, unlock)).folder).toBe(store.folder);
  });
});

describe('what somebody does to the folder', () => {
  test('two files that change their names are refused, both', async () => {
    const { folder } = await storeWith('alice', 'bob');
    const path = (name: string): string => join(folder, name);
    renameSync(path('alice.key'), path('aside'));
    renameSync(path('bob.key'), path('alice.key'));
    renameSync(path('aside'), path('bob.key'));
    const { keys, damaged } = await (await openKeyStore(folder, unlock)).load();
    expect(keys).toEqual([]);
    expect(damaged.map(({ file, error }) => [file, error.code])).toEqual([
      ['alice.key', 'key.store-malformed'],
      ['bob.key', 'key.store-malformed'],
    ]);
  });

  test('a file of another store is refused', async () => {
    const [mine, other] = [await storeWith('alice'), await storeWith('bob')];
    cpSync(join(other.folder, 'bob.key'), join(mine.folder, 'bob.key'));
    const { keys, damaged } = await mine.load();
    expect([keys.map(({ label }) => label), damaged.map(({ file }) => file)]).toEqual([
      ['alice'],
      ['bob.key'],
    ]);
  });

  test('the clear part of before setCertificate is refused with the key of after it', async () => {
    const store = await createKeyStore(folders.fresh(), unlock);
    await store.add(alice.privateKey, [], { name: 'alice', exportable: false, use: 'sign' });
    const file = join(store.folder, 'alice.key');
    const before = JSON.parse(readFileSync(file, 'utf8'));
    await store.setCertificate('alice', [alice.certificate]);
    const after = JSON.parse(readFileSync(file, 'utf8'));
    for (const mixed of [
      { ...before, encrypted: after.encrypted },
      { ...after, certificates: [] },
      { ...after, exportable: true },
    ]) {
      writeFileSync(file, `${JSON.stringify(mixed, null, 2)}\n`);
      expect((await store.list()).damaged.map(({ error }) => error.code)).toEqual(['key.store-malformed']);
    }
  });

  test.each(['0644', '0640', '0604', '0620', '0606'])(
    'a key file with mode %s is refused with the command to run',
    async (mode) => {
      const store = await storeWith('alice', 'bob');
      chmodSync(join(store.folder, 'alice.key'), Number.parseInt(mode, 8));
      const { keys, damaged } = await store.load();
      expect(keys.map(({ label }) => label)).toEqual(['bob']);
      expect(damaged[0]?.error.code).toBe('key.store-permissions');
      expect(damaged[0]?.error.publicText).toContain(`run chmod 600 ${join(store.folder, 'alice.key')}`);
    },
  );

  test.each(['0755', '0750', '0701'])(
    'a folder with mode %s is refused with the command to run',
    async (mode) => {
      const store = await storeWith('alice');
      chmodSync(store.folder, Number.parseInt(mode, 8));
      for (const use of [() => openKeyStore(store.folder, unlock), () => store.load()]) {
        const error = await refusal(use());
        expect(error.code).toBe('key.store-permissions');
        expect(error.publicText).toContain(`run chmod 700 ${store.folder}`);
      }
    },
  );

  test('symbolic links are not followed: folder, header, key, lock', async () => {
    const store = await storeWith('alice');
    const link = `${store.folder}-link`;
    symlinkSync(store.folder, link);
    expect((await refusal(openKeyStore(link, unlock))).code).toBe('key.store-permissions');
    for (const name of ['alice.key', 'store.json', 'lock']) {
      renameSync(join(store.folder, name), join(store.folder, '..', name));
      symlinkSync(join(store.folder, '..', name), join(store.folder, name));
    }
    expect((await store.load()).damaged[0]?.error.code).toBe('key.store-permissions');
    expect((await refusal(openKeyStore(store.folder, unlock))).code).toBe('key.store-permissions');
    expect((await refusal(store.remove('alice'))).code).toBe('key.store-permissions');
  });

  test('folders, pipes and huge files in the place of a key are refused and hang nobody', async () => {
    const store = await storeWith('alice');
    mkdirSync(join(store.folder, 'folder.key'), { mode: 0o700 });
    writeFileSync(join(store.folder, 'huge.key'), Buffer.alloc(600_000), { mode: 0o600 });
    const { keys, damaged } = await store.load();
    expect([keys.length, damaged.map(({ file }) => file)]).toEqual([1, ['folder.key', 'huge.key']]);
  });

  // Only root can give files away, and only then is there something to refuse.
  test('files of another user are refused', async () => {
    const store = await storeWith('alice');
    const user = process.geteuid?.() ?? 0;
    if (user === 0) {
      chownSync(join(store.folder, 'alice.key'), 65_534, 65_534);
      expect((await store.load()).damaged[0]?.error.code).toBe('key.store-permissions');
      chownSync(store.folder, 65_534, 65_534);
      expect((await refusal(openKeyStore(store.folder, unlock))).code).toBe('key.store-permissions');
    } else {
      expect((await refusal(openKeyStore('/root', unlock))).code).toMatch(/^key\.store-/);
    }
  });

  test('what a writer left behind is no key and goes with the next writing', async () => {
    const store = await storeWith('alice');
    const left = join(store.folder, '.new-0123456789abcdef');
    writeFileSync(left, 'half', { mode: 0o600 });
    expect((await store.load()).damaged).toEqual([]);
    await store.remove('alice');
    await store.add(bob.privateKey, [], { name: 'bob', exportable: false, use: 'sign' });
    expect(codeOf(() => readFileSync(left))).toBe('ENOENT');
    rmSync(store.folder, { recursive: true });
  });
});

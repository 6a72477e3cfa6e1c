import { hash } from 'node:crypto';
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { writePrivateKey } from '../../../src/hsm/files/pkcs8.ts';
import { writePkcs12 } from '../../../src/hsm/files/pkcs12-writer.ts';
import { createKeyStore } from '../../../src/hsm/key-store/key-store.ts';
import type { Unlock } from '../../../src/hsm/key-store/unlock.ts';
import { softwareInventory } from '../../../src/hsm/process/software-inventory.ts';
import { openSoftwareSource, type SoftwareAccess } from '../../../src/hsm/process/software-source.ts';
import { watchKeyFiles } from '../../../src/hsm/process/watch-key-files.ts';
import type { SoftwareSource } from '../../../src/hsm/source-kinds.ts';
import { Secret } from '../../../src/log/secret.ts';
import { writePem } from '../../../src/pki/pem.ts';
import { certify, Folders, type Person, person, unlockingKey } from '../key-store/people.ts';
import { refusal } from '../support/key-behaviour.ts';

const folders = new Folders();
afterAll(() => folders.remove());

const SECRETS = new Map([['GOOD', 'a secret of some length']]);
const access: SoftwareAccess = {
  readSecret(source) {
    const value = SECRETS.get('env' in source ? source.env : source.file);
    return value === undefined
      ? { kind: 'unavailable', publicText: 'There is no secret.', duration: 'permanent' }
      : { kind: 'pin', pin: Buffer.from(value), identity: null };
  },
  openTokenKey: () => Promise.reject(new Error('no token here')),
};
const GOOD = new Secret('a secret of some length');
const cost = { n: 2 ** 14, r: 8, p: 1 };

let alice: Person;
let bob: Person;
let folder: string;

beforeAll(async () => {
  [alice, bob] = await Promise.all([person('p-256'), person('ed25519', 'bob')]);
});
beforeEach(() => {
  folder = folders.fresh();
});

function path(name: string): string {
  return join(folder, name);
}

async function pemFiles({ privateKey, certificate }: Person): Promise<SoftwareSource> {
  writeFileSync(path('key.pem'), await writePrivateKey(privateKey, null), { mode: 0o600 });
  writeFileSync(path('crt.pem'), writePem('CERTIFICATE', certificate.der));
  return { kind: 'pem', key: path('key.pem'), certificate: path('crt.pem'), passphrase: null };
}

async function p12File(...people: readonly Person[]): Promise<SoftwareSource> {
  const entries = people.map(({ privateKey, certificate }, i) => ({
    privateKey,
    certificate,
    chain: [],
    friendlyName: `key ${i}`,
  }));
  writeFileSync(path('new.p12'), await writePkcs12(entries, GOOD, { iterations: 2_048 }), { mode: 0o600 });
  renameSync(path('new.p12'), path('keys.p12'));
  return { kind: 'pkcs12', file: path('keys.p12'), password: { env: 'GOOD' } };
}

async function storeOf(unlock: Unlock = { secret: GOOD }) {
  const store = await createKeyStore(path('store'), unlock, { cost });
  for (const [name, { privateKey, certificate }] of Object.entries({ alice, bob })) {
    await store.add(privateKey, [certificate], { name, exportable: false, use: 'sign' });
  }
  const source: SoftwareSource = { kind: 'store', folder: path('store'), unlock: { env: 'GOOD' } };
  return { store, source };
}

const labels = (keys: readonly { label: string }[]): string[] => keys.map(({ label }) => label);

const keysOf = async (...opening: Parameters<typeof openSoftwareSource>) =>
  (await openSoftwareSource(...opening)).keys;

describe('what a source holds', () => {
  test('PEM, PKCS#12 and key store, labelled without the name of the source', async () => {
    mkdirSync(folder);
    expect(labels(await keysOf(await pemFiles(alice), access))).toEqual(['']);
    expect(labels(await keysOf(await p12File(alice), access))).toEqual(['']);
    expect(labels(await keysOf(await p12File(alice, bob), access))).toEqual(['key 0', 'key 1']);
    expect(labels(await keysOf((await storeOf()).source, access))).toEqual(['alice', 'bob']);
  });

  test('a secret that cannot be read is said as whoever reads it says it', async () => {
    mkdirSync(folder);
    const source = { ...(await p12File(alice)), password: { env: 'ABSENT' } } as SoftwareSource;
    expect(await refusal(openSoftwareSource(source, access))).toMatchObject({
      code: 'key.secret-unreadable',
      publicText: 'There is no secret.',
    });
  });

  test('a store sealed to a token’s key is opened with it, and the token is let go', async () => {
    mkdirSync(folder);
    const key = unlockingKey(await person('rsa-2048', 'operator'));
    const { source } = await storeOf({ key });
    const token = { label: 'hsm' } as never;
    let open = 0;
    const keys = await keysOf({ ...source, unlock: { token, label: 'unlock' } } as SoftwareSource, {
      ...access,
      async openTokenKey(wanted, label) {
        expect([wanted, label]).toEqual([token, 'unlock']);
        open++;
        return { key, close: async () => void open-- };
      },
    });
    expect([labels(keys), open]).toEqual([['alice', 'bob'], 0]);
  });

  test('its inventory tells abilities and uses, and each certificate once', async () => {
    mkdirSync(folder);
    const renewed = await certify(alice.privateKey, 'alice');
    const keys = [
      { label: 'a', ...alice, chain: [bob.certificate], use: 'decrypt' as const },
      { label: 'b', ...alice, certificate: renewed, chain: [bob.certificate], use: 'sign' as const },
      { label: 'c', ...bob, chain: [] },
    ];
    const { inventory, threadKeys } = softwareInventory(keys);
    expect(inventory.keys.map(({ label, schemes, opens }) => [label, schemes.length, opens])).toEqual([
      ['a', 0, ['agree']],
      ['b', 3, []],
      ['c', 1, []],
    ]);
    expect(inventory.keys[0]?.key).toBe(hash('sha256', alice.certificate.subjectPublicKeyInfo));
    expect(inventory.certificates).toHaveLength(3);
    expect(threadKeys.map(({ schemes, opens }) => [schemes.length, opens])).toEqual([
      [3, ['agree']],
      [1, []],
    ]);
  });
});

describe('reading again', () => {
  test('new keys appear and removed ones go', async () => {
    mkdirSync(folder);
    const { store, source } = await storeOf();
    const opened = await openSoftwareSource(source, access);
    expect(await opened.reload()).toBe(false);
    await store.remove('bob');
    await store.add(bob.privateKey, [bob.certificate], { name: 'carol', exportable: false, use: 'decrypt' });
    expect(await opened.reload()).toBe(true);
    expect(labels(opened.keys)).toEqual(['alice', 'carol']);
  });

  test('a damaged file is told, leaves the others, and the key it had', async () => {
    mkdirSync(folder);
    const { store, source } = await storeOf();
    const opened = await openSoftwareSource(source, access);
    writeFileSync(path('store/alice.key'), 'damaged');
    await store.add(bob.privateKey, [bob.certificate], { name: 'carol', exportable: false, use: 'sign' });
    expect(await opened.reload()).toBe(true);
    expect(labels(opened.keys).sort()).toEqual(['alice', 'bob', 'carol']);
    expect(opened.problems.map(({ code, publicText }) => [code, publicText.includes('alice.key')])).toEqual([
      ['key.store-malformed', true],
    ]);
    // Who starts with the damage has the others.
    expect(labels((await openSoftwareSource(source, access)).keys)).toEqual(['bob', 'carol']);
  });

  test.each(['key.pem', 'crt.pem'])('a damaged or missing %s leaves the keys as they are', async (name) => {
    mkdirSync(folder);
    const opened = await openSoftwareSource(await pemFiles(alice), access);
    writeFileSync(path(name), 'damaged');
    expect((await refusal(opened.reload())).code).toMatch(/^key\./);
    unlinkSync(path(name));
    expect((await refusal(opened.reload())).code).toBe('key.file-unreadable');
    expect(opened.keys[0]?.certificate.fingerprint).toBe(alice.certificate.fingerprint);
    await pemFiles(bob);
    expect(await opened.reload()).toBe(true);
    expect(opened.keys[0]?.certificate.fingerprint).toBe(bob.certificate.fingerprint);
  });

  test('a store that others may read from now on is not read, and its keys stay', async () => {
    mkdirSync(folder);
    const { source } = await storeOf();
    const opened = await openSoftwareSource(source, access);
    chmodSync(path('store'), 0o755);
    expect((await refusal(opened.reload())).code).toBe('key.store-permissions');
    expect(opened.keys).toHaveLength(2);
  });

  test('another store in the place of this one is opened with the secret of then', async () => {
    mkdirSync(folder);
    const { source } = await storeOf();
    const opened = await openSoftwareSource(source, access);
    rmSync(path('store'), { recursive: true });
    const other = await createKeyStore(path('store'), { secret: GOOD }, { cost });
    await other.add(bob.privateKey, [bob.certificate], { name: 'dave', exportable: false, use: 'sign' });
    expect(await opened.reload()).toBe(true);
    expect(labels(opened.keys)).toEqual(['dave']);
  });
});

describe('watching', () => {
  /** Changes that were told; each one is waited for. */
  function watched(source: SoftwareSource) {
    let told: PromiseWithResolvers<void> = Promise.withResolvers();
    const stop = watchKeyFiles(source, () => told.resolve(), { quiet: 20, look: 100 });
    return {
      stop,
      async after(change: () => unknown): Promise<void> {
        told = Promise.withResolvers();
        await change();
        await told.promise;
      },
    };
  }

  test('a key store: keys that come, change and go', async () => {
    mkdirSync(folder);
    const { store, source } = await storeOf();
    const watch = watched(source);
    await watch.after(() => store.add(bob.privateKey, [], { name: 'carol', exportable: false, use: 'sign' }));
    await watch.after(() => store.setCertificate('carol', [bob.certificate]));
    await watch.after(() => store.remove('carol'));
    await watch.after(() => chmodSync(path('store'), 0o755));
    watch.stop();
  });

  test('a PEM file that is replaced, written in place, taken away, and back', async () => {
    mkdirSync(folder);
    const source = await pemFiles(alice);
    const watch = watched(source);
    await watch.after(() => writeFileSync(path('crt.pem'), writePem('CERTIFICATE', bob.certificate.der)));
    await watch.after(() => renameSync(path('crt.pem'), path('aside')));
    await watch.after(() => renameSync(path('aside'), path('crt.pem')));
    watch.stop();
  });

  test('the file of a password', async () => {
    mkdirSync(folder);
    const password = path('password');
    const watch = watched({ kind: 'pkcs12', file: path('keys.p12'), password: { file: password } });
    await watch.after(() => writeFileSync(password, 'secret\n', { mode: 0o600 }));
    watch.stop();
  });

  test('a folder that is a link, turned to another one: secrets mounted into a container', async () => {
    mkdirSync(join(folder, 'v1'), { recursive: true });
    mkdirSync(path('v2'));
    for (const version of ['v1', 'v2']) writeFileSync(path(`${version}/keys.p12`), version, { mode: 0o600 });
    symlinkSync('v1', path('..data'));
    symlinkSync('..data/keys.p12', path('keys.p12'));
    const watch = watched({ kind: 'pkcs12', file: path('keys.p12'), password: { env: 'GOOD' } });
    await watch.after(() => {
      symlinkSync('v2', path('..new'));
      renameSync(path('..new'), path('..data'));
    });
    watch.stop();
  });

  test('a folder that comes later, and one that goes and comes again', async () => {
    const source: SoftwareSource = { kind: 'store', folder: path('store'), unlock: { env: 'GOOD' } };
    const watch = watched(source);
    await watch.after(() => mkdirSync(path('store'), { recursive: true, mode: 0o700 }));
    await watch.after(() => writeFileSync(path('store/a.key'), 'a'));
    await watch.after(() => rmSync(path('store'), { recursive: true }));
    await watch.after(() => mkdirSync(path('store'), { mode: 0o700 }));
    await watch.after(() => writeFileSync(path('store/a.key'), 'a'));
    watch.stop();
  });
});

import { createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorOf, unavailable } from '../../../src/hsm/failures.ts';
import { writePrivateKey } from '../../../src/hsm/files/pkcs8.ts';
import { writePkcs12 } from '../../../src/hsm/files/pkcs12-writer.ts';
import { createKeyStore, type KeyStore, openKeyStore } from '../../../src/hsm/key-store/key-store.ts';
import type { Unlock } from '../../../src/hsm/key-store/unlock.ts';
import { Secret } from '../../../src/log/secret.ts';
import { run } from '../support/authority.ts';
import { refusal } from '../support/key-behaviour.ts';
import { certify, Folders, fingerprint, type Person, person, unlockingKey } from './people.ts';

const folders = new Folders();
afterAll(() => folders.remove());

/** The least that is taken: guessing is not what is tested. */
const cost = { n: 2 ** 14, r: 8, p: 1 };
const secret: Unlock = { secret: new Secret('correct horse battery staple') };
const SIGN = { exportable: false, use: 'sign-and-decrypt' } as const;

let alice: Person;
let bob: Person;
let rsa: Person;

beforeAll(async () => {
  [alice, bob, rsa] = await Promise.all([person('p-256'), person('ed25519', 'bob'), person('rsa-2048')]);
});

function fresh(unlock: Unlock = secret): Promise<KeyStore> {
  return createKeyStore(folders.fresh(), unlock, { cost });
}

describe('a store under a secret', () => {
  test('gives back what was put in, after it was opened anew', async () => {
    const store = await fresh();
    await store.add(alice.privateKey, [alice.certificate], {
      name: 'alice@example.org',
      exportable: true,
      use: 'sign',
    });
    await store.add(bob.privateKey, [bob.certificate], { name: 'bob', ...SIGN });
    store.close();
    const again = await openKeyStore(store.folder, secret);
    const { keys, damaged } = await again.load();
    expect(damaged).toEqual([]);
    expect(
      keys.map(({ label, use, certificate, privateKey }) => [
        label,
        use,
        certificate.fingerprint,
        fingerprint(privateKey),
      ]),
    ).toEqual([
      ['alice@example.org', 'sign', alice.certificate.fingerprint, fingerprint(alice.privateKey)],
      ['bob', 'sign-and-decrypt', bob.certificate.fingerprint, fingerprint(bob.privateKey)],
    ]);
  });

  test('another secret does not open it', async () => {
    const { folder } = await fresh();
    for (const wrong of [
      'correct horse battery stapl',
      'Correct horse battery staple',
      '',
      'x'.repeat(2_000),
      '\u{D800}'.repeat(20),
    ]) {
      const error = await refusal(openKeyStore(folder, { secret: new Secret(wrong) }));
      expect([error.code, error.duration]).toEqual(['key.passphrase-incorrect', 'permanent']);
    }
  });

  test('a short secret is not taken', async () => {
    expect((await refusal(createKeyStore(folders.fresh(), { secret: new Secret('elevenchars') }))).code).toBe(
      'key.store-secret-weak',
    );
  });

  test('nothing in the folder shows a private key', async () => {
    const store = await fresh();
    await store.add(alice.privateKey, [alice.certificate], { name: 'alice', ...SIGN });
    const d = Buffer.from(alice.privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
    for (const file of readdirSync(store.folder)) {
      const octets = readFileSync(join(store.folder, file));
      for (const form of [
        d,
        Buffer.from(d.toString('hex')),
        Buffer.from(d.toString('base64').slice(0, 40)),
      ]) {
        expect(octets.includes(form)).toBe(false);
      }
      expect(statSync(join(store.folder, file)).mode & 0o777).toBe(0o600);
    }
    expect(statSync(store.folder).mode & 0o777).toBe(0o700);
  });

  test('after the secret was changed the new one opens it, and the old one does not', async () => {
    const store = await fresh();
    await store.add(alice.privateKey, [alice.certificate], { name: 'alice', ...SIGN });
    const next: Unlock = { secret: new Secret('another one of some length') };
    await store.changeUnlock(next);
    expect((await refusal(openKeyStore(store.folder, secret))).code).toBe('key.passphrase-incorrect');
    expect((await (await openKeyStore(store.folder, next)).load()).keys).toHaveLength(1);
    // The one that was open all the time goes on.
    await store.add(bob.privateKey, [], { name: 'bob', ...SIGN });
    expect((await store.list()).keys).toHaveLength(2);
  });

  test('closing forgets the master key', async () => {
    const store = await fresh();
    await store.add(alice.privateKey, [alice.certificate], { name: 'alice', ...SIGN });
    store.close();
    expect((await refusal(store.exportKey('alice'))).code).toBe('key.store-closed');
    expect((await refusal(store.add(bob.privateKey, [], { name: 'bob', ...SIGN }))).code).toBe(
      'key.store-closed',
    );
  });
});

describe('a store that is sealed to a key', () => {
  test.each(['rsa-2048', 'p-256', 'p-521', 'brainpool-p384r1'] as const)(
    'of kind %s opens with it, and with nothing else',
    async (kind) => {
      const holder = kind === 'rsa-2048' ? rsa : await person(kind, 'operator');
      const store = await fresh({ key: unlockingKey(holder) });
      await store.add(alice.privateKey, [alice.certificate], { name: 'alice', ...SIGN });
      const again = await openKeyStore(store.folder, { key: unlockingKey(holder) });
      expect((await again.load()).keys).toHaveLength(1);
      const other = await person('p-256', 'operator');
      expect((await refusal(openKeyStore(store.folder, { key: unlockingKey(other) }))).code).toBe(
        'key.store-other-unlock',
      );
      expect((await refusal(openKeyStore(store.folder, secret))).code).toBe('key.store-other-unlock');
    },
  );

  test('opens with the same key after its certificate was renewed', async () => {
    const store = await fresh({ key: unlockingKey(rsa) });
    const renewed = { ...rsa, certificate: await certify(rsa.privateKey, 'operator') };
    expect((await openKeyStore(store.folder, { key: unlockingKey(renewed) })).folder).toBe(store.folder);
  });

  test('a token whose key cannot do OAEP is enough', async () => {
    const key = { ...unlockingKey(rsa), readsOaep: false };
    const refusing = {
      ...key,
      decryptKey: (...[scheme, octets]: Parameters<typeof key.decryptKey>) => {
        expect(scheme.kind).toBe('rsa-pkcs1');
        return key.decryptKey(scheme, octets);
      },
    };
    const store = await fresh({ key: refusing });
    expect((await openKeyStore(store.folder, { key: refusing })).folder).toBe(store.folder);
  });

  test('to a key that gives back something else: nothing is made', async () => {
    const certificate = rsa.certificate;
    const key = { ...unlockingKey(await person('rsa-2048', 'other')), certificate };
    const folder = folders.fresh();
    expect((await refusal(createKeyStore(folder, { key }))).code).toBe('key.store-key-unusable');
    expect(readdirSync(folder)).toEqual(['lock']);
    expect((await createKeyStore(folder, secret, { cost })).folder).toBe(folder);
  });

  test('a token that is away makes it wait, not fail for good', async () => {
    const store = await fresh({ key: unlockingKey(rsa) });
    const failure = errorOf(unavailable('The token is out; insert it.', 'removed', true));
    const away = { ...unlockingKey(rsa), decryptKey: () => Promise.reject(failure) };
    const error = await refusal(openKeyStore(store.folder, { key: away }));
    expect([error.code, error.duration]).toEqual(['key.unavailable', 'temporary']);
  });

  test.each(['certificate', 'message'])(
    'a %s that is none of its own is damage of its file, and no fault of the key',
    async (member) => {
      const unlock: Unlock = { key: unlockingKey(rsa) };
      const store = await fresh(unlock);
      const file = join(store.folder, 'store.json');
      const header = JSON.parse(readFileSync(file, 'utf8'));
      header.wrapping[member] = Buffer.from('nonsense').toString('base64');
      writeFileSync(file, `${JSON.stringify(header, null, 2)}\n`);
      const error = await refusal(openKeyStore(store.folder, unlock));
      expect(error.code).toBe('key.store-malformed');
      expect(error.publicText).toContain(file);
    },
  );

  test('from a secret to a key and back', async () => {
    const store = await fresh();
    const key: Unlock = { key: unlockingKey(rsa) };
    await store.changeUnlock(key);
    expect((await refusal(openKeyStore(store.folder, secret))).code).toBe('key.store-other-unlock');
    await (await openKeyStore(store.folder, key)).changeUnlock(secret);
    expect((await openKeyStore(store.folder, secret)).folder).toBe(store.folder);
  });
});

describe('a key whose certificate is still to come', () => {
  test('is listed and not used, and is used when the certificate is there', async () => {
    const store = await fresh();
    const added = await store.add(alice.privateKey, [], { name: 'alice', ...SIGN });
    expect(added.certificate).toBeNull();
    expect(added.publicKey.equals(createPublicKey(alice.privateKey))).toBe(true);
    expect((await store.load()).keys).toEqual([]);
    expect(fingerprint(await store.signingKeyOf('alice'))).toBe(fingerprint(alice.privateKey));
    const set = await store.setCertificate('alice', [bob.certificate, alice.certificate]);
    expect(set.certificate?.fingerprint).toBe(alice.certificate.fingerprint);
    expect([set.created, set.key]).toEqual([added.created, added.key]);
    expect((await store.load()).keys.map(({ label }) => label)).toEqual(['alice']);
  });

  test('does not get somebody else’s', async () => {
    const store = await fresh();
    await store.add(alice.privateKey, [], { name: 'alice', ...SIGN });
    for (const wrong of [[], [bob.certificate], [(await person('p-256')).certificate]]) {
      expect((await refusal(store.setCertificate('alice', wrong))).code).toBe('key.no-certificate');
    }
    expect(
      (await refusal(store.add(bob.privateKey, [alice.certificate], { name: 'bob', ...SIGN }))).code,
    ).toBe('key.no-certificate');
    expect((await store.list()).keys.map(({ name, certificate }) => [name, certificate])).toEqual([
      ['alice', null],
    ]);
  });

  test('gets the newest of several', async () => {
    const store = await fresh();
    const old = await certify(alice.privateKey, 'alice', { days: 30, from: new Date(Date.now() - 864e5) });
    const added = await store.add(alice.privateKey, [old, alice.certificate], { name: 'alice', ...SIGN });
    expect(added.certificate?.fingerprint).toBe(alice.certificate.fingerprint);
  });
});

describe('taking keys out', () => {
  test('one that is not exportable is given to nobody', async () => {
    const store = await fresh();
    await store.add(alice.privateKey, [alice.certificate], { name: 'alice', ...SIGN });
    expect((await refusal(store.exportKey('alice'))).code).toBe('key.not-exportable');
  });

  test('OpenSSL reads what is exported', async () => {
    const store = await fresh();
    await store.add(rsa.privateKey, [rsa.certificate], { name: 'rsa', exportable: true, use: 'decrypt' });
    const { stored, privateKey } = await store.exportKey('rsa');
    const password = new Secret('export password');
    const octets = await writePkcs12(
      [
        {
          privateKey,
          certificate: stored.certificate ?? rsa.certificate,
          chain: stored.chain,
          friendlyName: stored.name,
        },
      ],
      password,
    );
    const file = join(store.folder, '..', 'rsa.p12');
    writeFileSync(file, octets, { mode: 0o600 });
    const pem = run('openssl', [
      'pkcs12',
      '-in',
      file,
      '-nodes',
      '-nocerts',
      '-passin',
      'pass:export password',
    ]);
    expect(fingerprint(createPrivateKey(pem))).toBe(fingerprint(rsa.privateKey));
    const encrypted = await writePrivateKey(privateKey, password);
    const plain = run('openssl', ['pkey', '-passin', 'pass:export password'], { input: encrypted });
    expect(fingerprint(createPrivateKey(plain))).toBe(fingerprint(rsa.privateKey));
  });

  test('a removed one is gone', async () => {
    const store = await fresh();
    await store.add(alice.privateKey, [alice.certificate], { name: 'alice', ...SIGN });
    await store.remove('alice');
    expect(readdirSync(store.folder).sort()).toEqual(['lock', 'store.json']);
    expect((await refusal(store.remove('alice'))).code).toBe('key.store-no-such-key');
  });

  test('a damaged one can be removed', async () => {
    const store = await fresh();
    writeFileSync(join(store.folder, 'broken.key'), '{}', { mode: 0o600 });
    expect((await store.list()).damaged.map(({ file }) => file)).toEqual(['broken.key']);
    await store.remove('broken');
    expect((await store.list()).damaged).toEqual([]);
  });
});

describe('names', () => {
  test.each(['', '.hidden', '-rf', 'a/b', '../store', 'a\0b', 'ä', 'x'.repeat(101), 'a b', 'a\n'])(
    '%j is none',
    async (name) => {
      const store = await fresh();
      expect((await refusal(store.add(alice.privateKey, [], { name, ...SIGN }))).code).toBe('key.store-name');
      const uses: (() => Promise<unknown>)[] = [
        () => store.remove(name),
        () => store.exportKey(name),
        () => store.signingKeyOf(name),
        () => store.setCertificate(name, [alice.certificate]),
      ];
      for (const use of uses) {
        const error = await refusal(use());
        expect(error.code).toBe('key.store-no-such-key');
        expect(error.publicText).toMatch(/^[ -~]+$/);
      }
    },
  );

  test('one is there once', async () => {
    const store = await fresh();
    await store.add(alice.privateKey, [], { name: 'alice', ...SIGN });
    expect((await refusal(store.add(bob.privateKey, [], { name: 'alice', ...SIGN }))).code).toBe(
      'key.store-name-taken',
    );
  });
});

describe('folders that are no new store', () => {
  test('one with a file in it, and one with a store', async () => {
    const folder = folders.fresh();
    mkdirSync(folder, { mode: 0o700 });
    writeFileSync(join(folder, 'letter.txt'), 'mine');
    expect((await refusal(createKeyStore(folder, secret))).code).toBe('key.store-not-empty');
    const store = await fresh();
    expect((await refusal(createKeyStore(store.folder, secret))).code).toBe('key.store-not-empty');
  });

  test('no store is opened where none is', async () => {
    const folder = folders.fresh();
    expect((await refusal(openKeyStore(folder, secret))).code).toBe('key.store-absent');
    mkdirSync(folder, { mode: 0o700 });
    expect((await refusal(openKeyStore(folder, secret))).code).toBe('key.store-absent');
  });

  test('a store that was put in the place of another one gets no keys of that', async () => {
    const store = await fresh();
    const other = await fresh();
    writeFileSync(join(store.folder, 'store.json'), readFileSync(join(other.folder, 'store.json')));
    expect(await store.isCurrent()).toBe(false);
    expect((await refusal(store.add(alice.privateKey, [], { name: 'alice', ...SIGN }))).code).toBe(
      'key.store-malformed',
    );
    expect((await refusal(store.changeUnlock(secret))).code).toBe('key.store-malformed');
  });
});

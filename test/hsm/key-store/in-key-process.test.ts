import { hash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createThrowawayPki, type ThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { KeyClient } from '../../../src/hsm/client/key-client.ts';
import { openKeySources } from '../../../src/hsm/key-sources.ts';
import { createKeyStore, type KeyStore, openKeyStore } from '../../../src/hsm/key-store/key-store.ts';
import type { Unlock } from '../../../src/hsm/key-store/unlock.ts';
import type { SoftwareSource, TokenSource } from '../../../src/hsm/source-kinds.ts';
import { verifySignature } from '../../../src/hsm/verify-signature.ts';
import type { Event } from '../../../src/log/events.ts';
import { Secret } from '../../../src/log/secret.ts';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import { readPem } from '../../../src/pki/pem.ts';
import { softhsm } from '../../support/services/softhsm.ts';
import { refusal } from '../support/key-behaviour.ts';
import { Folders, type Person, person } from './people.ts';

/** A key store as the gateway has it: in a process of its own, over the real channel. */

const folders = new Folders();
const SECRET = 'a secret of some length';
const cost = { n: 2 ** 14, r: 8, p: 1 };

let alice: Person;
let bob: Person;
let folder: string;
let client: KeyClient | null = null;
let events: Event[];

beforeAll(async () => {
  [alice, bob] = await Promise.all([person('p-256'), person('rsa-2048', 'bob')]);
});
afterAll(() => folders.remove());
beforeEach(() => {
  folder = folders.fresh();
  mkdirSync(folder);
  events = [];
});
afterEach(async () => {
  await client?.close();
  client = null;
});

const path = (name: string): string => join(folder, name);
const idOf = ({ certificate }: Person): string => hash('sha256', certificate.subjectPublicKeyInfo);

async function storeUnder(unlock: Unlock): Promise<KeyStore> {
  const store = await createKeyStore(path('store'), unlock, { cost });
  await store.add(alice.privateKey, [alice.certificate], { name: 'alice', exportable: false, use: 'sign' });
  return store;
}

function source(unlock: (SoftwareSource & { kind: 'store' })['unlock']): SoftwareSource {
  return { kind: 'store', folder: path('store'), unlock };
}

function secretFile(text: string): { file: string } {
  writeFileSync(path('secret'), `${text}\n`, { mode: 0o600 });
  return { file: path('secret') };
}

async function start(place: SoftwareSource): Promise<KeyClient> {
  client = KeyClient.start({
    source: 'people',
    place,
    refusals: { has: () => false, add: () => undefined },
    log: { write: (event) => void events.push(event) },
  });
  await client.settled;
  return client;
}

function labelsOf({ state }: KeyClient): string[] {
  return state.kind === 'open' ? state.inventory.keys.map(({ label }) => label) : [state.kind];
}

async function until(place: KeyClient, condition: () => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  place.onChange(() => condition() && resolve());
  if (condition()) resolve();
  await promise;
}

function sign(place: KeyClient, who: Person, data: Buffer): Promise<Buffer> {
  const scheme =
    who === alice
      ? ({ kind: 'ecdsa', digest: 'sha256' } as const)
      : ({ kind: 'rsa-pkcs1', digest: 'sha256' } as const);
  return place.perform({ kind: 'sign', key: idOf(who), scheme, input: 'message', data });
}

test('keys sign, appear, and go while the gateway runs', async () => {
  const store = await storeUnder({ secret: new Secret(SECRET) });
  const place = await start(source(secretFile(SECRET)));
  const data = randomBytes(100);
  const scheme = { kind: 'ecdsa', digest: 'sha256' } as const;
  expect(
    await verifySignature(alice.certificate.publicKey, scheme, data, await sign(place, alice, data)),
  ).toBe(true);

  await store.add(bob.privateKey, [bob.certificate], { name: 'bob', exportable: false, use: 'sign' });
  await until(place, () => labelsOf(place).includes('bob'));
  expect(await sign(place, bob, data)).toHaveLength(256);

  await store.remove('alice');
  await until(place, () => !labelsOf(place).includes('alice'));
  expect((await refusal(sign(place, alice, data))).code).toBe('key.refused');
  expect(await sign(place, bob, data)).toHaveLength(256);
});

test('a damaged file is named in the log, and its key and the others go on', async () => {
  const store = await storeUnder({ secret: new Secret(SECRET) });
  const place = await start(source(secretFile(SECRET)));
  writeFileSync(path('store/alice.key'), 'damaged');
  await store.add(bob.privateKey, [bob.certificate], { name: 'bob', exportable: false, use: 'sign' });
  await until(place, () => labelsOf(place).includes('bob'));
  await place.reload();
  expect(labelsOf(place).sort()).toEqual(['alice', 'bob']);
  for (const who of [alice, bob])
    expect((await sign(place, who, Buffer.from('x'))).length).toBeGreaterThan(60);
  const failed = events.filter(({ event }) => event === 'key.reload-failed');
  expect(JSON.stringify(failed)).toContain('alice.key');
});

test('a key that is there to sign does not decrypt, whoever asks', async () => {
  const store = await storeUnder({ secret: new Secret(SECRET) });
  await store.add(bob.privateKey, [bob.certificate], { name: 'bob', exportable: false, use: 'sign' });
  const place = await start(source(secretFile(SECRET)));
  const operation = {
    kind: 'decrypt',
    key: idOf(bob),
    scheme: { kind: 'rsa-pkcs1' },
    encryptedKey: Buffer.alloc(256, 1),
  } as const;
  expect((await refusal(place.perform(operation))).code).toBe('key.refused');
});

test('a wrong secret is said, and the right one is taken as soon as it is there', async () => {
  await storeUnder({ secret: new Secret(SECRET) });
  const place = await start(source(secretFile('not the right secret')));
  expect(place.state).toMatchObject({ kind: 'refused', failure: { code: 'key.passphrase-incorrect' } });
  secretFile(SECRET);
  await until(place, () => place.state.kind === 'open');
  expect(labelsOf(place)).toEqual(['alice']);
});

test('an elliptic-curve key from a file signs a message that is longer than what tokens are sent', async () => {
  await storeUnder({ secret: new Secret(SECRET) });
  const places = [source(secretFile(SECRET))];
  const keys = await openKeySources(
    [{ name: 'people', use: 'sign-and-decrypt', usesPerMinute: null, places }],
    {
      log: { write: () => undefined },
    },
  );
  const data = randomBytes(300_000);
  const scheme = { kind: 'ecdsa', digest: 'sha256' } as const;
  const signature = await keys.signing[0]?.sign(scheme, data);
  await keys.close();
  expect(await verifySignature(alice.certificate.publicKey, scheme, data, signature ?? Buffer.alloc(0))).toBe(
    true,
  );
});

test('a store that is sealed to keys of a token opens with the token’s help alone', async () => {
  const token = await softhsm();
  const pki: ThrowawayPki = await createThrowawayPki(path('pki'));
  const unlocking = [
    await token.generateKey(pki, { address: 'rsa@example.org', type: 'rsa-2048', label: 'rsa' }),
    await token.generateKey(pki, { address: 'ec@example.org', type: 'p-256', label: 'ec' }),
  ];
  writeFileSync(path('pin'), `${token.pin}\n`, { mode: 0o600 });
  const place: TokenSource = {
    kind: 'token',
    module: token.module,
    environment: token.env,
    token: { label: token.tokenLabel, serial: null, model: null, manufacturer: null, reader: null },
    objects: { object: null, id: null },
    pin: { file: path('pin') },
    removable: false,
    sessions: 1,
    certificates: [],
  };
  const admin = KeyClient.start({
    source: 'admin',
    place,
    refusals: { has: () => false, add: () => undefined },
    log: { write: () => undefined },
  });
  try {
    await admin.settled;
    const store = await storeUnder({ secret: new Secret(SECRET) });
    for (const { label, certificate: pem } of unlocking) {
      const certificate = parseCertificate(readPem(pem)[0]?.der ?? Buffer.alloc(0));
      const key = hash('sha256', certificate.subjectPublicKeyInfo);
      await store.changeUnlock({
        key: {
          label,
          certificate,
          decryptKey: (scheme, encryptedKey) => admin.perform({ kind: 'decrypt', key, scheme, encryptedKey }),
          agree: (originator) => admin.perform({ kind: 'agree', key, originator }),
          decapsulate: () => Promise.reject(new Error('not asked for')),
        },
      });
      expect((await refusal(openKeyStore(path('store'), { secret: new Secret(SECRET) }))).code).toBe(
        'key.store-other-unlock',
      );
      const opened = await start(source({ token: place, label }));
      expect(labelsOf(opened)).toEqual(['alice']);
      expect((await sign(opened, alice, Buffer.from('x'))).length).toBeGreaterThan(60);
      await opened.close();
    }
  } finally {
    await admin.close();
    await token.stop();
  }
});

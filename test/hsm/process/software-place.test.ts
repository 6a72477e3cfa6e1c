import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KeyTransportScheme } from '../../../src/cms/keys.ts';
import { createKeyStore } from '../../../src/hsm/key-store/key-store.ts';
import type { Unlock } from '../../../src/hsm/key-store/unlock.ts';
import type { SoftwareSource, StoreUnlock, TokenSource } from '../../../src/hsm/source-kinds.ts';
import type { Event } from '../../../src/log/events.ts';
import { Secret } from '../../../src/log/secret.ts';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import { foundInMemory, privateKeyNeedles } from '../../attacks/support/process-memory.ts';
import { type Person, person } from '../key-store/people.ts';
import { Authority } from '../support/authority.ts';
import { present, refusal } from '../support/key-behaviour.ts';
import {
  inventoryOf,
  RememberedRefusals,
  secretFile,
  signing,
  tokenPlace,
  untilState,
  withPlace,
} from '../support/key-place.ts';
import { SoftHsm } from '../support/softhsm.ts';

/** Keys from files, in a key process of their own. */

const authority = new Authority();
afterAll(() => authority.remove());

const PASSWORD = 'correct horse battery staple';
const cost = { n: 2 ** 14, r: 8, p: 1 };
let alice: Person;

beforeAll(async () => {
  for (const name of ['alice', 'anna']) {
    authority.newKey(`${name}.key`, 'p256');
    authority.certify(name, { address: `${name}@example.org` });
  }
  alice = await person('p-256');
});

/** A copy, so that each test may do with it what it wants. */
function pem(name: string): SoftwareSource & { kind: 'pem' } {
  copyFileSync(authority.path('alice.key'), authority.path(`${name}.key`));
  copyFileSync(authority.path('alice.crt'), authority.path(`${name}.crt`));
  return {
    kind: 'pem',
    key: authority.path(`${name}.key`),
    certificate: authority.path(`${name}.crt`),
    passphrase: null,
  };
}

async function store(name: string, unlock: Unlock, by: StoreUnlock): Promise<SoftwareSource> {
  const folder = authority.path(name);
  const made = await createKeyStore(folder, unlock, { cost });
  await made.add(alice.privateKey, [alice.certificate], { name: 'alice', exportable: false, use: 'sign' });
  return { kind: 'store', folder, unlock: by };
}

describe('a key file', () => {
  test('signs with as many threads as are needed; its key is in no other process', async () => {
    await withPlace(pem('threads'), {}, async (client) => {
      const operation = signing(client);
      const signatures = await Promise.all(Array.from({ length: 200 }, () => client.perform(operation)));
      // ECDSA: each is another one.
      expect(new Set(signatures.map((signature) => signature.toString('hex'))).size).toBe(200);
      const needles = privateKeyNeedles('alice', authority.read('alice.key').toString());
      expect(await foundInMemory(present(client.processId), needles)).not.toEqual([]);
    });
  });

  test('that is replaced by another key is read again by itself', async () => {
    const place = pem('replaced');
    await withPlace(place, {}, async (client) => {
      const [before] = inventoryOf(client).keys;
      const operation = signing(client);
      const { promise: changed, resolve } = Promise.withResolvers<void>();
      client.onChange(resolve);
      for (const end of ['crt', 'key']) {
        copyFileSync(authority.path(`anna.${end}`), authority.path(`new.${end}`));
        renameSync(authority.path(`new.${end}`), authority.path(`replaced.${end}`));
      }
      await changed;
      const [after] = inventoryOf(client).keys;
      expect(after?.key).not.toBe(before?.key);
      expect(await client.perform(signing(client))).toBeInstanceOf(Buffer);
      expect((await refusal(client.perform(operation))).code).toBe('key.refused');
    });
  });

  test('that becomes unreadable leaves the key; reload() says why', async () => {
    const place = pem('spoilt');
    await withPlace(place, {}, async (client) => {
      const operation = signing(client);
      writeFileSync(place.key, 'not a key');
      const error = await refusal(client.reload());
      expect(error.code).toMatch(/^key\.file-/);
      expect(error.publicText).toContain(place.key);
      expect(await client.perform(operation)).toBeInstanceOf(Buffer);
      copyFileSync(authority.path('alice.key'), place.key);
      await client.reload();
      expect(client.state.kind).toBe('open');
    });
  });

  test('that is not there is absent, and opened when it comes', async () => {
    const place = pem('late');
    renameSync(place.key, `${place.key}.away`);
    await withPlace(place, {}, async (client) => {
      expect(client.state).toMatchObject({ kind: 'absent', failure: { duration: 'permanent' } });
      expect(client.state.kind === 'absent' && client.state.failure.publicText).toContain(place.key);
      renameSync(`${place.key}.away`, place.key);
      await untilState(client, 'open');
    });
  });

  test('whose process is killed is served by the next one', async () => {
    await withPlace(pem('killed'), {}, async (client) => {
      const operation = signing(client);
      await client.perform(operation);
      process.kill(present(client.processId), 'SIGKILL');
      let signature: unknown = null;
      while (!Buffer.isBuffer(signature)) {
        signature = await client.perform(operation).catch((error: unknown) => error);
      }
    });
  });
});

describe('a key store', () => {
  test('opens with its password; with another one it is refused until the password is corrected', async () => {
    const file = secretFile(authority, 'store-password', 'wrong');
    const place = await store('by-password', { secret: new Secret(PASSWORD) }, { file });
    await withPlace(place, {}, async (client) => {
      expect(client.state).toMatchObject({
        kind: 'refused',
        failure: { code: 'key.passphrase-incorrect', duration: 'permanent' },
      });
      writeFileSync(file, `${PASSWORD}\n`);
      await untilState(client, 'open');
      expect(inventoryOf(client).keys.map(({ label }) => label)).toEqual(['alice']);
      expect(await client.perform(signing(client))).toBeInstanceOf(Buffer);
    });
  });

  describe('sealed to a token', () => {
    const PIN = '918273';
    const softhsm = new SoftHsm();
    let token: TokenSource;
    let place: SoftwareSource;
    /** Folder of a store that is sealed to the same token. */
    let other: string;

    beforeAll(async () => {
      softhsm.newToken('safe', PIN);
      const key = { id: '01', label: 'unlock', type: 'rsa:2048' } as const;
      softhsm.newKey('safe', PIN, key, authority, { address: 'safe@example.org' });
      token = tokenPlace('safe', secretFile(authority, 'safe-pin', PIN), softhsm.environment, {
        sessions: 1,
      });
      place = await withPlace(token, {}, async (client) => {
        const { key, certificate } = present(inventoryOf(client).keys[0]);
        const refuse = () => Promise.reject(new Error('not asked for'));
        const unlocking = {
          label: 'unlock',
          certificate: parseCertificate(Buffer.from(certificate)),
          decryptKey: (scheme: KeyTransportScheme, encryptedKey: Uint8Array) =>
            client.perform({ kind: 'decrypt', key, scheme, encryptedKey }),
          agree: refuse,
          decapsulate: refuse,
        };
        await store('by-token-2', { key: unlocking }, { token, label: 'unlock' });
        other = authority.path('by-token-2');
        return await store('by-token', { key: unlocking }, { token, label: 'unlock' });
      });
    });
    afterAll(() => softhsm.remove());

    test('is opened by it, which is let go then', async () => {
      await withPlace(place, {}, async (client) => {
        expect(client.state.kind).toBe('open');
        expect(inventoryOf(client)).toMatchObject({ token: null, keys: [{ label: 'alice' }] });
        expect(await client.perform(signing(client))).toBeInstanceOf(Buffer);
      });
    });

    test('a wrong PIN of the token is sent once, and never again, by this run of the gateway and the next', async () => {
      const fresh = secretFile(authority, 'wrong-safe-pin', '000000');
      const wrong = { ...place, unlock: { token: { ...token, pin: { file: fresh } }, label: null } };
      const refusals = new RememberedRefusals();
      for (const run of [1, 2]) {
        await withPlace(wrong as SoftwareSource, { refusals }, async (client) => {
          const { failure } = await untilState(client, 'refused');
          expect([run, failure.code, failure.duration]).toEqual([run, 'key.pin-incorrect', 'permanent']);
          expect(refusals.identities.size).toBe(1);
        });
      }
      await withPlace(wrong as SoftwareSource, { refusals }, async (client) => {
        writeFileSync(fresh, `${PIN}\n`);
        await untilState(client, 'open');
      });
    });

    test('that is away or refuses while the store is read again takes no key that is there', async () => {
      const pin = secretFile(authority, 'changing-safe-pin', PIN);
      const changing = { ...place, unlock: { token: { ...token, pin: { file: pin } }, label: 'unlock' } };
      const events: Event[] = [];
      await withPlace(changing as SoftwareSource, { events }, async (client) => {
        await untilState(client, 'open');
        writeFileSync(pin, '000000\n');
        copyFileSync(join(other, 'store.json'), authority.path('by-token/store.json'));
        while (!events.some(({ event }) => event === 'key.reload-failed')) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect(client.state.kind).toBe('open');
        expect(await client.perform(signing(client))).toBeInstanceOf(Buffer);
      });
    });
  });
});

test('a key store of which hundreds of files are damaged keeps its others in service, and says how many', async () => {
  const source = await store(
    'many-damaged',
    { secret: new Secret(PASSWORD) },
    { file: secretFile(authority, 'many', PASSWORD) },
  );
  for (let i = 0; i < 300; i++) {
    writeFileSync(join(authority.path('many-damaged'), `k${i}.key`), 'damaged', { mode: 0o600 });
  }
  const events: Event[] = [];
  const told = () => events.flatMap((event) => (event.event === 'key.reload-failed' ? [event.reason] : []));
  await withPlace(source, { events }, async (client) => {
    const before = client.processId;
    await client.perform(signing(client));
    await expect.poll(() => told().at(-1)).toMatch(/^280 further files/);
    const first = told().length;
    await client.reload();
    await expect.poll(() => told().length).toBe(2 * first);
    await client.perform(signing(client));
    expect([client.processId, first]).toEqual([before, 21]);
  });
});

import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll } from 'vitest';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { TestKeyRequest, TestToken } from '../support/services/test-token.ts';
import { keyBehaviour } from './support/key-behaviour.ts';
import type { Expected } from './support/key-under-test.ts';
import { type OpenedKeys, openKeys, tokenSource } from './support/opened-keys.ts';
import { workbench } from './support/workbench.ts';

/** The same behaviour on every make of token. */

const bench = workbench();
const SIGNS_RSA = ['rsa-pkcs1', 'rsa-pss'] as const;
const OPENS_RSA = ['rsa-pkcs1', 'rsa-oaep'] as const;

type Case = TestKeyRequest & { expected: Expected };

function one(
  name: string,
  kind: Expected['kind'],
  type: TestKeyRequest['type'],
  abilities: Pick<Expected, 'signs' | 'opens'>,
  attributes?: TestKeyRequest['attributes'],
): Case {
  const wish = attributes === undefined ? {} : { attributes };
  const address = `${name.replace(/\W/g, '-')}@example.org`;
  return { address, label: name, type, expected: { kind, ...abilities }, ...wish };
}

const RSA_ALL = { signs: SIGNS_RSA, opens: OPENS_RSA };
const EC_ALL = { signs: ['ecdsa'], opens: ['agree'] } as const;

const SOFTHSM: readonly Case[] = [
  one('RSA', 'rsa', 'rsa-2048', RSA_ALL),
  one('RSA for signatures only', 'rsa', 'rsa-2048', { signs: SIGNS_RSA, opens: [] }, { sign: true }),
  one('RSA for decryption only', 'rsa', 'rsa-2048', { signs: [], opens: OPENS_RSA }, { decrypt: true }),
  one('RSA for unwrapping only', 'rsa', 'rsa-2048', { signs: [], opens: ['rsa-pkcs1'] }, { unwrap: true }),
  one('RSA with CKA_ALWAYS_AUTHENTICATE', 'rsa', 'rsa-2048', RSA_ALL, {
    ...{ sign: true, decrypt: true, alwaysAuthenticate: true },
  }),
  one('P-256', 'ec', 'p-256', EC_ALL),
  one('P-384', 'ec', 'p-384', EC_ALL),
  one('P-521', 'ec', 'p-521', EC_ALL),
  one('brainpoolP256r1', 'ec', 'brainpool-p256', EC_ALL),
  one('Ed25519', 'ed25519', 'ed25519', { signs: ['eddsa'], opens: [] }, { sign: true }),
  one('X25519', 'x25519', 'x25519', { signs: [], opens: ['agree'] }, { derive: true }),
];

const NSS: readonly Case[] = [
  one('RSA', 'rsa', 'rsa-2048', RSA_ALL),
  one('P-256', 'ec', 'p-256', EC_ALL),
  one('P-384', 'ec', 'p-384', EC_ALL),
  one('P-521', 'ec', 'p-521', EC_ALL),
  one('EC for agreement only', 'ec', 'p-256', { signs: [], opens: ['agree'] }, { derive: true }),
];

/** Without PSS and key agreement. */
const TPM: readonly Case[] = [
  one('RSA', 'rsa', 'rsa-2048', { signs: ['rsa-pkcs1'], opens: OPENS_RSA }),
  one('P-256', 'ec', 'p-256', { signs: ['ecdsa'], opens: [] }),
  one('P-384', 'ec', 'p-384', { signs: ['ecdsa'], opens: [] }),
];

const pki = services.pki();

function onToken(make: string, start: () => Promise<Started<TestToken>>, cases: readonly Case[]): void {
  let token: Started<TestToken> | null = null;
  let keys: OpenedKeys | null = null;
  beforeAll(async () => {
    token = await start();
    await token.generateKeys(await pki, cases);
    const pin = bench.path(`${token.tokenLabel}.pin`);
    writeFileSync(pin, token.pin, { mode: 0o600 });
    keys = await openKeys(tokenSource(token, pin), bench);
  }, 60_000);
  afterAll(async () => {
    await keys?.close();
    await token?.stop();
  });
  for (const { label, expected } of cases) {
    keyBehaviour(`${make}: ${label}`, expected, () => {
      if (keys === null) throw new Error('not open');
      return keys.key(label ?? '');
    });
  }
}

onToken('SoftHSM2', services.softhsm, SOFTHSM);
onToken('NSS', services.nssToken, NSS);
// A TPM keeps few keys at a time, and a process that uses them all would need a resource manager between.
for (const only of TPM) onToken('TPM', services.tpmToken, [only]);

afterAll(async () => {
  await (await pki).stop();
  bench.remove();
});

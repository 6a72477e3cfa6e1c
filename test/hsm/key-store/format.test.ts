import { createDecipheriv, createHmac, createPrivateKey, hkdfSync, scryptSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKeyStore } from '../../../src/hsm/key-store/key-store.ts';
import type { Unlock } from '../../../src/hsm/key-store/unlock.ts';
import { Secret } from '../../../src/log/secret.ts';
import { writePem } from '../../../src/pki/pem.ts';
import { run } from '../support/authority.ts';
import { Folders, fingerprint, type Person, person, unlockingKey } from './people.ts';

/** A reader that knows docs/key-store.md and nothing of the code: what it opens today it opens in ten years. */

const folders = new Folders();
afterAll(() => folders.remove());

let alice: Person;
beforeAll(async () => {
  alice = await person('rsa-2048');
});

type Json = Record<string, unknown>;
const octets = (value: unknown): Buffer => Buffer.from(String(value), 'base64');

async function store(unlock: Unlock): Promise<string> {
  const made = await createKeyStore(folders.fresh(), unlock, { cost: { n: 2 ** 14, r: 8, p: 1 } });
  await made.add(alice.privateKey, [alice.certificate], { name: 'alice', exportable: true, use: 'sign' });
  return made.folder;
}

function read(folder: string, name: string): Json {
  return JSON.parse(readFileSync(join(folder, name), 'utf8'));
}

function opened(sealing: Buffer, associated: string, sealed: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', sealing.subarray(0, 32), sealing.subarray(32, 44));
  decipher.setAAD(Buffer.from(associated));
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
}

/** Of `store.json` and of alice's key file. */
function check(folder: string, master: Buffer): void {
  const { mac, ...header } = read(folder, 'store.json');
  const macKey = Buffer.from(hkdfSync('sha256', master, '', 'sealgate key store 1 header', 32));
  expect(createHmac('sha256', macKey).update(JSON.stringify(header)).digest('base64')).toBe(mac);
  const { encrypted, ...clear } = read(folder, 'alice.key');
  const info = `sealgate key store 1 key ${clear.name}`;
  const sealing = Buffer.from(hkdfSync('sha256', master, octets(clear.salt), info, 44));
  const plain = opened(sealing, JSON.stringify(clear), octets(encrypted));
  const key = createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' });
  expect(fingerprint(key)).toBe(fingerprint(alice.privateKey));
}

describe('docs/key-store.md is enough to read', () => {
  test('a store under a secret', async () => {
    const secret = 'a secret of ünusual length';
    const folder = await store({ secret: new Secret(secret) });
    const { salt, wrapped, cost } = read(folder, 'store.json').wrapping as Json & {
      cost: { n: number; r: number; p: number };
    };
    const sealing = scryptSync(secret, octets(salt), 44, {
      N: cost.n,
      r: cost.r,
      p: cost.p,
      maxmem: 2 ** 28,
    });
    check(folder, opened(sealing, 'sealgate key store 1 master key', octets(wrapped)));
  });

  test('a store that is sealed to a key, by OpenSSL', async () => {
    const folder = await store({ key: unlockingKey(alice) });
    const [message, key, certificate] = ['message', 'key.pem', 'crt.pem'].map((name) =>
      join(folder, '..', name),
    ) as [string, string, string];
    writeFileSync(message, octets((read(folder, 'store.json').wrapping as Json).message));
    writeFileSync(key, alice.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    writeFileSync(certificate, writePem('CERTIFICATE', alice.certificate.der));
    const decrypt = [
      'cms',
      '-decrypt',
      '-inform',
      'DER',
      '-in',
      message,
      '-inkey',
      key,
      '-recip',
      certificate,
    ];
    check(folder, run('openssl', decrypt));
  });
});

import { constants, publicEncrypt, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadPemKey } from '../../src/hsm/files/pem-key.ts';
import { type LoadedKey, SoftwareKeys } from '../../src/hsm/software-key.ts';
import { Authority, run } from './support/authority.ts';
import { present, refusal } from './support/key-behaviour.ts';

const authority = new Authority();
const keys: LoadedKey[] = [];

beforeAll(async () => {
  for (const name of ['one', 'two', 'three']) {
    authority.newKey(`${name}.key`, 'rsa');
    authority.certify(name, { address: `${name}@example.org` });
    keys.push(
      ...(await loadPemKey({
        certificateFile: authority.path(`${name}.crt`),
        keyFile: authority.path(`${name}.key`),
        name,
      })),
    );
  }
});

afterAll(() => authority.remove());

const PKCS1 = { kind: 'rsa-pkcs1' } as const;

function encryptedTo(key: LoadedKey, cek: Buffer): Buffer {
  return publicEncrypt({ key: key.certificate.publicKey, padding: constants.RSA_PKCS1_PADDING }, cek);
}

test('many decryptions with several keys at once: each gets its own result', async () => {
  const software = new SoftwareKeys({ decryptionThreads: 2 });
  const decryptions = Array.from({ length: 60 }, async (_, i) => {
    const key = present(keys[i % keys.length]);
    const cek = randomBytes(32);
    expect(await present(software.decryptionKey(key)).decryptKey(PKCS1, encryptedTo(key, cek))).toEqual(cek);
  });
  await Promise.all(decryptions);
  await software.close();
});

test('closing: what is under way fails for now, what comes later too', async () => {
  const software = new SoftwareKeys({ decryptionThreads: 1 });
  const key = present(keys[0]);
  const decryption = present(software.decryptionKey(key));
  const encrypted = encryptedTo(key, randomBytes(16));
  const pending = Array.from({ length: 20 }, () => decryption.decryptKey(PKCS1, encrypted));
  const outcomes = Promise.allSettled(pending);
  await software.close();
  for (const outcome of await outcomes) {
    if (outcome.status === 'rejected')
      expect(outcome.reason).toMatchObject({ code: 'key.unavailable', duration: 'temporary' });
  }
  expect((await refusal(decryption.decryptKey(PKCS1, encrypted))).code).toBe('key.unavailable');
});

test('idle threads do not keep a process alive', () => {
  const script = authority.path('idle.mjs');
  const source = (file: string) => JSON.stringify(new URL(`../../src/hsm/${file}`, import.meta.url).href);
  writeFileSync(
    script,
    `import { constants, publicEncrypt } from 'node:crypto';
     import { loadPemKey } from ${source('files/pem-key.ts')};
     import { SoftwareKeys } from ${source('software-key.ts')};
     const [certificateFile, keyFile] = process.argv.slice(2);
     const [key] = await loadPemKey({ certificateFile, keyFile });
     const encrypted = publicEncrypt({ key: key.certificate.publicKey, padding: constants.RSA_PKCS1_PADDING }, Buffer.from('cek'));
     const decryption = new SoftwareKeys().decryptionKey(key);
     process.stdout.write(String(await decryption.decryptKey({ kind: 'rsa-pkcs1' }, encrypted)));`,
  );
  expect(
    run(process.execPath, [script, authority.path('one.crt'), authority.path('one.key')]).toString(),
  ).toBe('cek');
});

import { afterAll, beforeAll } from 'vitest';
import { loadPemKey } from '../../src/hsm/files/pem-key.ts';
import { loadPkcs12 } from '../../src/hsm/files/pkcs12-key.ts';
import { openToken, type Token } from '../../src/hsm/token.ts';
import { silentLog } from '../../src/log/log.ts';
import { Secret } from '../../src/log/secret.ts';
import { type LoadedKey, SoftwareKeys } from '../support/software-keys.ts';
import { Authority, type KeyKind } from './support/authority.ts';
import { type KeyUnderTest, keyBehaviour, present } from './support/key-behaviour.ts';
import { SoftHsm, softhsmModule } from './support/softhsm.ts';

/** One suite, every place a private key can be in. */

const PIN = '314159';
const authority = new Authority();
const softhsm = new SoftHsm();
const software = new SoftwareKeys();
const loaded = new Map<KeyKind, LoadedKey>();
let token: Token;

beforeAll(async () => {
  for (const kind of ['rsa', 'p256', 'p384', 'p521', 'brainpool256', 'ed25519', 'x25519'] as const) {
    authority.newKey(`${kind}.key`, kind);
    authority.certify(kind, { address: `${kind}@example.org` });
    const [key] = kind === 'p256' ? await fromPkcs12(kind) : await fromPem(kind);
    loaded.set(kind, present(key));
  }
  softhsm.newToken('people', PIN);
  for (const [id, type] of [
    ['01', 'rsa:2048'],
    ['02', 'EC:prime256v1'],
  ] as const) {
    softhsm.newKey('people', PIN, { id, label: `key-${id}`, type }, authority, {
      address: 'alice@example.org',
    });
  }
  softhsm.importKey('people', PIN, { id: '03', label: 'key-03', name: 'p384' }, authority);
  softhsm.newKey(
    'people',
    PIN,
    { id: '04', label: 'key-04', type: 'rsa:2048', alwaysAuthenticate: true },
    authority,
    { address: 'bob@example.org' },
  );
  token = await openToken({
    module: softhsmModule,
    token: { label: 'people' },
    pin: new Secret(PIN),
    log: silentLog,
    environment: softhsm.environment,
  });
});

afterAll(async () => {
  await token?.close();
  await software.close();
  softhsm.remove();
  authority.remove();
});

function fromPem(kind: KeyKind): Promise<LoadedKey[]> {
  return loadPemKey({
    certificateFile: authority.path(`${kind}.crt`),
    keyFile: authority.path(`${kind}.key`),
    name: kind,
  });
}

function fromPkcs12(kind: KeyKind): Promise<LoadedKey[]> {
  const file = authority.path(`${kind}.p12`);
  authority.openssl(
    'pkcs12',
    '-export',
    '-inkey',
    authority.path(`${kind}.key`),
    '-in',
    authority.path(`${kind}.crt`),
    '-passout',
    'pass:verse',
    '-out',
    file,
  );
  return loadPkcs12({ file, password: new Secret('verse'), name: kind });
}

function softwareKey(kind: KeyKind): () => KeyUnderTest {
  return () => {
    const key = present(loaded.get(kind));
    return { authority, signing: software.signingKey(key), decryption: software.decryptionKey(key) };
  };
}

function tokenKey(label: string): () => KeyUnderTest {
  return () => ({
    authority,
    signing: present(token.signingKeys().find((key) => key.label === label)),
    decryption: present(token.decryptionKeys().find((key) => key.label === label)),
  });
}

keyBehaviour('software RSA', 'rsa', softwareKey('rsa'));
keyBehaviour('software P-256', 'ec', softwareKey('p256'));
keyBehaviour('software P-384', 'ec', softwareKey('p384'));
keyBehaviour('software P-521', 'ec', softwareKey('p521'));
keyBehaviour('software brainpoolP256r1', 'ec', softwareKey('brainpool256'));
keyBehaviour('software Ed25519', 'ed25519', softwareKey('ed25519'));
keyBehaviour('software X25519', 'x25519', softwareKey('x25519'));
keyBehaviour('token RSA', 'rsa', tokenKey('people/key-01'));
keyBehaviour('token P-256', 'ec', tokenKey('people/key-02'));
keyBehaviour('token P-384', 'ec', tokenKey('people/key-03'));
keyBehaviour('token RSA with CKA_ALWAYS_AUTHENTICATE', 'rsa', tokenKey('people/key-04'));

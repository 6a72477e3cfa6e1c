import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SealgateError } from '../../../src/errors.ts';
import { keysOfPkcs12 } from '../../../src/hsm/files/pkcs12-key.ts';
import {
  type Pkcs12Entry,
  type Pkcs12Protection,
  writePkcs12,
} from '../../../src/hsm/files/pkcs12-writer.ts';
import { Secret } from '../../../src/log/secret.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';
import { readCertificates } from '../../../src/pki/certificate-file.ts';
import { makeCertificate } from '../../pki/make-certificate.ts';
import { Authority, run } from '../support/authority.ts';
import { present, refusal } from '../support/key-behaviour.ts';

const authority = new Authority();
const UNICODE = 'Grüße an 東京 😀';
const ALL: readonly Pkcs12Protection[] = ['current', 'pbmac1', 'old-programs'];
/** What programs of today read: OpenSSL before 3.4 and NSS of Debian 12 do not know RFC 9579. */
const COMMON: readonly Pkcs12Protection[] = ['current', 'old-programs'];
const FAST = { iterations: 2_048 };

beforeAll(() => {
  for (const kind of ['rsa', 'p256'] as const) {
    authority.newKey(`${kind}.key`, kind);
    authority.certify(kind, { address: `${kind}@example.org` });
  }
});

afterAll(() => authority.remove());

function certificate(name: string): Certificate {
  return present(readCertificates(authority.read(name))[0]);
}

function entry(kind: 'rsa' | 'p256', friendlyName: string | null = null): Pkcs12Entry {
  return {
    privateKey: createPrivateKey(authority.read(`${kind}.key`)),
    certificate: certificate(`${kind}.crt`),
    chain: [certificate('intermediate.crt'), certificate('root.crt')],
    friendlyName,
  };
}

/** A pair and a certificate for it, without OpenSSL. */
function made(name: string, key: { publicKey: KeyObject; privateKey: KeyObject }): Pkcs12Entry {
  const signer = generateKeyPairSync('ed25519');
  const own = makeCertificate({ subject: name, key, issuerKey: signer, scheme: 'ed25519' });
  return { privateKey: key.privateKey, certificate: own, chain: [], friendlyName: name };
}

function publicOctets(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

const small = made('small', generateKeyPairSync('ed25519'));

describe('a file that is written', () => {
  test.each(ALL)('comes back with keys, names and chain: %s', async (protection) => {
    const entries = [entry('rsa', 'For signatures'), entry('p256', 'For encryption')];
    const octets = await writePkcs12(entries, new Secret(UNICODE), { protection });
    const keys = await keysOfPkcs12(octets, new Secret(UNICODE), 'alice');
    expect(keys.map(({ label }) => label)).toEqual(['alice/For signatures', 'alice/For encryption']);
    for (const [index, key] of keys.entries()) {
      expect(publicOctets(key.privateKey)).toEqual(publicOctets(present(entries[index]).privateKey));
      expect(key.chain.map(({ subject }) => subject.text)).toEqual(['CN=Test Intermediate']);
    }
    const error = await refusal(keysOfPkcs12(octets, new Secret('wrong'), 'alice'));
    expect(error.code).toBe('key.passphrase-incorrect');
  });

  test('holds keys of every kind', async () => {
    const entries = [
      made('rsa-pss', generateKeyPairSync('rsa-pss', { modulusLength: 2048 })),
      made('secp384r1', generateKeyPairSync('ec', { namedCurve: 'secp384r1' })),
      made('brainpool', generateKeyPairSync('ec', { namedCurve: 'brainpoolP512r1' })),
      made('ed448', generateKeyPairSync('ed448')),
      made('x25519', generateKeyPairSync('x25519')),
      made('x448', generateKeyPairSync('x448')),
      made('ml-dsa', generateKeyPairSync('ml-dsa-65')),
      made('ml-kem', generateKeyPairSync('ml-kem-768')),
    ];
    const octets = await writePkcs12(entries, new Secret('x'), FAST);
    const keys = await keysOfPkcs12(octets, new Secret('x'), 'a');
    expect(keys.map(({ privateKey }) => publicOctets(privateKey))).toEqual(
      entries.map(({ privateKey }) => publicOctets(privateKey)),
    );
  });

  test('holds a key with renewed certificates once, and archived keys beside it', async () => {
    authority.certifyPublicKey('rsa.pub', 'renewed.crt', { address: 'rsa@example.org', serial: 4711 });
    const [first, archived] = [entry('rsa', 'Alice'), entry('p256', 'alice')];
    const renewed = { ...first, certificate: certificate('renewed.crt') };
    const octets = await writePkcs12([renewed, first, archived], new Secret('x'), FAST);
    const keys = await keysOfPkcs12(octets, new Secret('x'), 'a');
    // Names that differ in case only are one to Java.
    expect(keys.map(({ label }) => label)).toEqual(['a/Alice', 'a/Alice/2', 'a/alice 2']);
    expect(keys.map((key) => key.certificate.fingerprint)).toEqual([
      renewed.certificate.fingerprint,
      first.certificate.fingerprint,
      archived.certificate.fingerprint,
    ]);
  });

  test('is another one each time: salts and vectors are fresh', async () => {
    const write = () => writePkcs12([small], new Secret('x'), FAST);
    expect((await write()).equals(await write())).toBe(false);
  });

  test('shows neither key nor name nor certificate', async () => {
    for (const protection of ALL) {
      const octets = await writePkcs12([entry('rsa', 'Alice')], new Secret('x'), { ...FAST, protection });
      for (const hidden of ['rsa@example.org', 'Test Intermediate']) {
        expect(octets.includes(hidden)).toBe(false);
      }
      const { n = '', d = '' } = entry('rsa').privateKey.export({ format: 'jwk' });
      for (const number of [n, d]) expect(octets.includes(Buffer.from(number, 'base64url'))).toBe(false);
    }
  });

  test('any password comes back, and no other opens it', async () => {
    const password = fc.oneof(
      fc.constantFrom('', ' ', UNICODE, 'x'.repeat(1_024)),
      fc.string({ unit: 'binary', maxLength: 60 }).filter((text) => !text.includes('\0')),
    );
    await fc.assert(
      fc.asyncProperty(password, fc.constantFrom(...ALL), async (text, protection) => {
        const octets = await writePkcs12([small], new Secret(text), { ...FAST, protection });
        const [key] = await keysOfPkcs12(octets, new Secret(text), 'a');
        expect(publicOctets(present(key).privateKey)).toEqual(publicOctets(small.privateKey));
        const error = await refusal(keysOfPkcs12(octets, new Secret(`${text.slice(0, 1_000)}!`), 'a'));
        expect(error.code).toBe('key.passphrase-incorrect');
      }),
      { numRuns: 30 },
    );
  });

  test.each(ALL)('a change of any octet is a refusal: %s', async (protection) => {
    const octets = await writePkcs12([small], new Secret('x'), { ...FAST, protection });
    // RFC 9579: the last two fields mean nothing then.
    const meaningless = protection === 'pbmac1' ? Buffer.byteLength('NOT USED') + 5 : 0;
    for (let at = 0; at < octets.length; at += at < 60 || at > octets.length - 150 ? 1 : 5) {
      const changed = Buffer.from(octets);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const outcome = await keysOfPkcs12(changed, new Secret('x'), 'a').catch((error: unknown) => error);
      if (outcome instanceof SealgateError) {
        expect(outcome.code).toMatch(/^key\./);
      } else {
        expect(at, 'an octet that nothing depends on').toBeGreaterThanOrEqual(octets.length - meaningless);
      }
    }
  });
});

describe('is not written', () => {
  test.each([
    ['with a password that is too long', 'x'.repeat(1_025)],
    ['with half a character', 'a\ud800'],
    ['with a zero character, at which programs stop reading', 'secret\0rest'],
  ])('%s', async (_, password) => {
    const error = await refusal(writePkcs12([small], new Secret(password), FAST));
    expect(error.code).toBe('key.passphrase-unusable');
    expect(`${error.message}${JSON.stringify(error)}`).not.toContain('secret');
  });

  test('with a certificate of another key', async () => {
    const wrong = { ...entry('rsa'), certificate: certificate('p256.crt') };
    expect((await refusal(writePkcs12([wrong], new Secret('x'), FAST))).code).toBe('key.no-certificate');
  });

  test('with no key, or with more than our own reader would take', async () => {
    expect((await refusal(writePkcs12([], new Secret('x')))).code).toBe('key.too-many');
    const heavy = { iterations: 2_000_000 };
    const entries = [
      small,
      made('b', generateKeyPairSync('ed25519')),
      made('c', generateKeyPairSync('ed25519')),
    ];
    expect((await refusal(writePkcs12(entries, new Secret('x'), heavy))).code).toBe('key.too-many');
  });

  test.each([0, 2_047, 2_000_001, 2_048.5, Number.NaN])('with %s iterations', async (iterations) => {
    await expect(writePkcs12([small], new Secret('x'), { iterations })).rejects.toThrow(RangeError);
  });
});

describe('other programs read it', () => {
  test.each([
    ['current', UNICODE],
    ['current', ''],
    ['old-programs', UNICODE],
    ['old-programs', ''],
  ] as const)('OpenSSL: %s, %j', async (protection, password) => {
    const count = password === '' ? FAST : {};
    const octets = await writePkcs12([entry('rsa', 'Ä😀')], new Secret(password), { ...count, protection });
    const args = ['pkcs12', '-nodes', '-passin', 'stdin', '-in', written('ours.p12', octets)];
    const text = run('openssl', args, { input: `${password}\n` }).toString();
    expect(text.match(/BEGIN CERTIFICATE/g)).toHaveLength(3);
    expect(publicOctets(createPrivateKey(text))).toEqual(publicOctets(entry('rsa').privateKey));
    expect(text).toContain('localKeyID: ');
  });

  test.each(COMMON)('OpenSSL builds the keystore it was given again: %s', async (protection) => {
    const octets = await writePkcs12([entry('p256', 'Alice')], new Secret('x'), { ...FAST, protection });
    const pem = run('openssl', ['pkcs12', '-nodes', '-passin', 'pass:x', '-in', written('ours.p12', octets)]);
    const again = run('openssl', [
      'pkcs12',
      '-export',
      '-passout',
      'pass:x',
      '-in',
      written('again.pem', pem),
    ]);
    expect(await keysOfPkcs12(again, new Secret('x'), 'a')).toHaveLength(1);
  });

  test.each(COMMON)('NSS imports both keys under their names: %s', async (protection) => {
    const entries = [entry('rsa', 'Sign'), entry('p256', 'Encrypt')];
    const file = written(
      `nss-${protection}.p12`,
      await writePkcs12(entries, new Secret(UNICODE), { protection }),
    );
    const folder = authority.path(`nss-${protection}`);
    mkdirSync(folder);
    const database = `sql:${folder}`;
    run('certutil', ['-N', '-d', database, '--empty-password']);
    run('pk12util', ['-i', file, '-d', database, '-w', written('password', UNICODE)]);
    const keys = run('certutil', ['-K', '-d', database]).toString();
    expect(keys).toMatch(/rsa +[0-9a-f]+ +Sign/);
    expect(keys).toMatch(/ec +[0-9a-f]+ +Encrypt/);
    expect(run('certutil', ['-L', '-d', database]).toString()).toContain('Test Intermediate');
  });

  test('GnuPG 2.2 imports the form for old programs', async () => {
    const octets = await writePkcs12([entry('rsa', 'Alice')], new Secret('plain'), {
      protection: 'old-programs',
    });
    const file = written('gnupg.p12', octets);
    const home = authority.path('gnupg');
    mkdirSync(home, { mode: 0o700 });
    writeFileSync(`${home}/gpg-agent.conf`, 'allow-loopback-pinentry\n');
    const env = { ...process.env, GNUPGHOME: home };
    try {
      const args = ['--batch', '--pinentry-mode', 'loopback', '--passphrase-fd', '0', '--import', file];
      run('gpgsm', args, { env, input: 'plain\n' });
      expect(run('gpgsm', ['--batch', '-K'], { env }).toString()).toContain('rsa@example.org');
    } finally {
      execFileSync('gpgconf', ['--kill', 'all'], { env });
    }
  });
});

function written(name: string, octets: Buffer | string): string {
  writeFileSync(authority.path(name), octets, { mode: 0o600 });
  chmodSync(authority.path(name), 0o600);
  return authority.path(name);
}

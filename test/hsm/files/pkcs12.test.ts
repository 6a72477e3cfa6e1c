import { createHmac, createPublicKey, pbkdf2Sync } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { universal } from '../../../src/asn1/element.ts';
import { readWhole } from '../../../src/asn1/reader.ts';
import { sequenceOf } from '../../../src/asn1/sequence-reader.ts';
import { octetString as octetsOf } from '../../../src/asn1/values.ts';
import { explicit, integer, nullValue, octetString, oid, sequence } from '../../../src/asn1/writer.ts';
import { SealgateError } from '../../../src/errors.ts';
import { PasswordReader } from '../../../src/hsm/files/pbe.ts';
import { readAuthenticatedSafe } from '../../../src/hsm/files/pkcs12.ts';
import { bmpPassword, derivePkcs12 } from '../../../src/hsm/files/pkcs12-kdf.ts';
import { keysOfPkcs12, loadPkcs12 } from '../../../src/hsm/files/pkcs12-key.ts';
import { Secret } from '../../../src/log/secret.ts';
import { Authority, run } from '../support/authority.ts';
import { present, refusal } from '../support/key-behaviour.ts';

const authority = new Authority();
const PASSWORD = 'Grüße an 東京';
const corpora = process.env.SEALGATE_CORPORA ?? join(import.meta.dirname, '../../../../shared/corpora');

beforeAll(() => {
  for (const kind of ['rsa', 'p256'] as const) {
    authority.newKey(`${kind}.key`, kind);
    authority.certify(kind, { address: `${kind}@example.org` });
  }
});

afterAll(() => authority.remove());

function exported(kind: 'rsa' | 'p256', password: string, ...args: readonly string[]): Buffer {
  return run(
    'openssl',
    [
      'pkcs12',
      '-export',
      '-inkey',
      authority.path(`${kind}.key`),
      '-in',
      authority.path(`${kind}.crt`),
      '-certfile',
      authority.path('intermediate.crt'),
      '-passout',
      'stdin',
      ...args,
    ],
    { input: `${password}\n` },
  );
}

async function expectKey(octets: Buffer, password: string, kind: 'rsa' | 'p256'): Promise<void> {
  const [key, none] = await keysOfPkcs12(octets, new Secret(password), 'alice');
  expect(none).toBeUndefined();
  expect(key).toMatchObject({ label: 'alice' });
  const { certificate, chain, privateKey } = present(key);
  expect(certificate.mailboxes).toEqual([`${kind}@example.org`]);
  expect(chain.map((each) => each.subject.text)).toEqual(['CN=Test Intermediate']);
  const own = createPublicKey(authority.read(`${kind}.key`));
  expect(createPublicKey(privateKey).export({ type: 'spki', format: 'der' })).toEqual(
    own.export({ type: 'spki', format: 'der' }),
  );
}

const LEGACY = ['-legacy', '-provider', 'legacy', '-provider', 'default'];
const FORMS: readonly [string, readonly string[]][] = [
  ['as OpenSSL 3 writes it (PBES2, AES-256, SHA-256)', []],
  [
    'AES-128 and a MAC with SHA-512',
    ['-keypbe', 'AES-128-CBC', '-certpbe', 'AES-192-CBC', '-macalg', 'sha512'],
  ],
  ['a MAC with SHA-1 and one with SHA-384', ['-macalg', 'sha384']],
  ['PBES2 with 3DES', ['-keypbe', 'DES-EDE3-CBC', '-certpbe', 'DES-EDE3-CBC', '-macalg', 'sha1']],
  ['many iterations', ['-iter', '60000']],
  ['as OpenSSL 1 wrote it (RC2-40, 3DES)', [...LEGACY]],
  ['RC2-128', [...LEGACY, '-certpbe', 'PBE-SHA1-RC2-128']],
  ['two-key 3DES', [...LEGACY, '-keypbe', 'PBE-SHA1-2DES', '-certpbe', 'PBE-SHA1-2DES']],
  ['RC2 for the key itself', [...LEGACY, '-keypbe', 'PBE-SHA1-RC2-40', '-certpbe', 'PBE-SHA1-RC2-40']],
  ['certificates and key not encrypted', ['-keypbe', 'NONE', '-certpbe', 'NONE']],
];

describe('files of OpenSSL', () => {
  test.each(FORMS)('%s', async (_, args) => {
    await expectKey(exported('rsa', PASSWORD, ...args), PASSWORD, 'rsa');
    await expectKey(exported('p256', 'plain', ...args), 'plain', 'p256');
  });

  test('an empty password', async () => {
    await expectKey(exported('p256', ''), '', 'p256');
    await expectKey(exported('p256', '', ...LEGACY), '', 'p256');
  });

  test.each(FORMS)('a wrong password is said: %s', async (_, args) => {
    const octets = exported('p256', PASSWORD, ...args);
    for (const wrong of ['', `${PASSWORD} `, 'Grusse', '\ud800', 'x'.repeat(5000)]) {
      const error = await refusal(keysOfPkcs12(octets, new Secret(wrong), 'alice.p12'));
      expect([error.code, error.duration]).toEqual(['key.passphrase-incorrect', 'permanent']);
      expect(error.publicText).toMatch(/^alice\.p12: /);
    }
  });

  test('a file without MAC is refused: anybody could have put another key into it', async () => {
    const error = await refusal(
      keysOfPkcs12(exported('p256', PASSWORD, '-nomac'), new Secret(PASSWORD), 'alice'),
    );
    expect(error.code).toBe('key.file-unsupported');
  });

  test('a file without a private key, and one without its certificate', async () => {
    const certificates = run('openssl', [
      'pkcs12',
      '-export',
      '-nokeys',
      '-in',
      authority.path('rsa.crt'),
      '-passout',
      'pass:x',
    ]);
    expect((await refusal(keysOfPkcs12(certificates, new Secret('x'), 'a'))).code).toBe('key.file-malformed');
    const key = run('openssl', [
      'pkcs12',
      '-export',
      '-nocerts',
      '-inkey',
      authority.path('rsa.key'),
      '-passout',
      'pass:x',
    ]);
    expect((await refusal(keysOfPkcs12(key, new Secret('x'), 'a'))).code).toBe('key.no-certificate');
  });
});

describe('PBMAC1 (RFC 9579)', () => {
  const salt = Buffer.from('eight or more');

  /** The same contents under another MAC. */
  function withPbmac1(password: string, hmac: string, digest: string, prf: Buffer, octets: number): Buffer {
    const authSafe = authSafeOf(exported('p256', password));
    const key = pbkdf2Sync(password, salt, 2048, octets, 'sha256');
    const derivation = sequence(
      oid('1.2.840.113549.1.5.12'),
      sequence(octetString(salt), integer(2048), integer(octets), sequence(prf, nullValue())),
    );
    const scheme = sequence(oid(hmac), nullValue());
    const algorithm = sequence(oid('1.2.840.113549.1.5.14'), sequence(derivation, scheme));
    const mac = createHmac(digest, key).update(authSafe).digest();
    return sequence(
      integer(3),
      sequence(oid('1.2.840.113549.1.7.1'), explicit(0, octetString(authSafe))),
      sequence(sequence(algorithm, octetString(mac)), octetString(Buffer.from('NOT USED')), integer(1)),
    );
  }

  test.each([
    ['SHA-256', '1.2.840.113549.2.9', 'sha256', 32],
    ['SHA-512', '1.2.840.113549.2.11', 'sha512', 64],
  ])('with HMAC-%s', async (_, hmac, digest, octets) => {
    const file = withPbmac1(PASSWORD, hmac, digest, oid('1.2.840.113549.2.9'), octets);
    await expectKey(file, PASSWORD, 'p256');
    const error = await refusal(keysOfPkcs12(file, new Secret('wrong'), 'alice'));
    expect(error.code).toBe('key.passphrase-incorrect');
  });
});

describe('files of NSS', () => {
  test.each([
    ['its default', []],
    ['AES-256', ['-c', 'AES-256-CBC', '-C', 'AES-256-CBC']],
    [
      '3DES and RC2-40',
      [
        '-c',
        'PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC',
        '-C',
        'PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC',
      ],
    ],
  ])('pk12util with %s', async (name, args) => {
    const database = `sql:${authority.folder}`;
    if (!existsSync(authority.path('cert9.db'))) {
      run('certutil', ['-N', '-d', database, '--empty-password']);
      writeInto(database);
    }
    const file = authority.path(`nss-${name.length}.p12`);
    run('pk12util', ['-o', file, '-n', 'nss-key', '-d', database, '-W', 'bookworm', ...args]);
    const [key] = await keysOfPkcs12(readFileSync(file), new Secret('bookworm'), 'nss');
    expect(present(key).certificate.mailboxes).toEqual(['rsa@example.org']);
    const error = await refusal(keysOfPkcs12(readFileSync(file), new Secret('Bookworm'), 'nss'));
    expect(error.code).toBe('key.passphrase-incorrect');
  });
});

function writeInto(database: string): void {
  const file = authority.path('for-nss.p12');
  authority.openssl(
    'pkcs12',
    '-export',
    '-name',
    'nss-key',
    '-inkey',
    authority.path('rsa.key'),
    '-in',
    authority.path('rsa.crt'),
    '-passout',
    'pass:x',
    '-out',
    file,
  );
  run('pk12util', ['-i', file, '-d', database, '-W', 'x', '-K', '']);
}

describe('RFC 9216', () => {
  test.each([
    ['alice', ['rsa', 'rsa']],
    ['bob', ['rsa', 'rsa']],
    ['carlos', ['ed25519', 'x25519']],
    ['dana', ['ed25519', 'x25519']],
  ])('the sample file of %s', async (name, types) => {
    const original = join(corpora, 'rfc9216', `${name}.p12`);
    expect(existsSync(original), `the corpora are not at ${corpora}`).toBe(true);
    const file = authority.path(`${name}.p12`);
    copyFileSync(original, file);
    chmodSync(file, 0o600);
    const keys = await loadPkcs12({ file, password: new Secret(name), name });
    expect(keys.map((key) => present(key.privateKey.asymmetricKeyType)).sort()).toEqual(types);
    expect(keys.map((key) => key.label).sort()).toEqual([`${name}/${name}`, `${name}/${name}/2`]);
    for (const key of keys) expect(key.chain.length).toBe(1);
  });
});

describe('hostile files', () => {
  const secret = new Secret(PASSWORD);

  test('cut off anywhere: a clear error, never a crash', async () => {
    const octets = exported('p256', PASSWORD);
    for (let length = 0; length < octets.length; length += 7) {
      const error = await refusal(keysOfPkcs12(octets.subarray(0, length), secret, 'alice'));
      expect(error.code).toMatch(/^key\./);
    }
  });

  test.each([
    [0x7fff_ffff, 'key.file-unsupported'],
    [3_000_000, 'key.file-unsupported'],
    [0, 'key.file-unsupported'],
    [-1, 'key.file-unsupported'],
  ])('a MAC with %i iterations is not computed', async (iterations, code) => {
    const octets = sealed(Buffer.from('30 00'.replace(' ', ''), 'hex'), Buffer.alloc(20), iterations);
    expect((await refusal(keysOfPkcs12(octets, secret, 'alice'))).code).toBe(code);
  });

  test('mutated anywhere: a SealgateError or the very same key', async () => {
    const octets = exported('p256', PASSWORD);
    await fc.assert(
      fc.asyncProperty(mutation(octets.length), async (change) => {
        const outcome = await keysOfPkcs12(applied(octets, change), secret, 'a').catch(
          (error: unknown) => error,
        );
        if (!Array.isArray(outcome)) expect(outcome).toBeInstanceOf(SealgateError);
        else expect(outcome[0].certificate.mailboxes).toEqual(['p256@example.org']);
      }),
      { numRuns: 150 },
    );
  });

  test.each([
    ['encrypted', []],
    ['not encrypted', ['-keypbe', 'NONE', '-certpbe', 'NONE']],
    ['legacy', LEGACY],
  ])('mutated behind the MAC, by somebody who knows the password (%s)', async (_, args) => {
    const authSafe = authSafeOf(exported('p256', PASSWORD, ...args));
    await fc.assert(
      fc.asyncProperty(mutation(authSafe.length), async (change) => {
        const mutated = applied(authSafe, change);
        const key = await derivePkcs12('sha1', 'mac', bmpPassword(PASSWORD), Buffer.alloc(8), 1, 20);
        const octets = sealed(mutated, createHmac('sha1', key).update(mutated).digest(), 1);
        const outcome = await keysOfPkcs12(octets, secret, 'a').catch((error: unknown) => error);
        if (!Array.isArray(outcome)) expect((outcome as SealgateError).code).toMatch(/^key\./);
      }),
      { numRuns: 300 },
    );
  });

  test('bags nested without end', async () => {
    let safe = sequence();
    for (let i = 0; i < 40; i++)
      safe = sequence(sequence(oid('1.2.840.113549.1.12.10.1.6'), explicit(0, safe)));
    const content = sequence(sequence(oid('1.2.840.113549.1.7.1'), explicit(0, octetString(safe))));
    const error = await refusal(readAuthenticatedSafe(content, new PasswordReader('x')));
    expect(error.code).toBe('key.file-malformed');
  });

  test('more bags than a keystore has', async () => {
    const bag = sequence(oid('1.2.840.113549.1.12.10.1.5'), explicit(0, nullValue()));
    const safe = sequence(...Array.from({ length: 1001 }, () => bag));
    const content = sequence(sequence(oid('1.2.840.113549.1.7.1'), explicit(0, octetString(safe))));
    const error = await refusal(readAuthenticatedSafe(content, new PasswordReader('x')));
    expect(error.code).toBe('key.file-malformed');
  });

  test('a budget for all iterations of a file together', async () => {
    const reader = new PasswordReader('x');
    const count = readWhole(integer(2_000_000), 'DER');
    for (let i = 0; i < 4; i++) expect(reader.iterations(count)).toBe(2_000_000);
    expect(() => reader.iterations(count)).toThrow(SealgateError);
  });
});

type Change = { at: number; octet: number; remove: number };

function mutation(length: number) {
  return fc.array(
    fc.record({ at: fc.nat(length - 1), octet: fc.nat(255), remove: fc.constantFrom(0, 0, 0, 1, 5) }),
    { minLength: 1, maxLength: 3 },
  );
}

function applied(octets: Buffer, changes: readonly Change[]): Buffer {
  let result = Buffer.from(octets);
  for (const { at, octet, remove } of changes) {
    if (at < result.length) result[at] = octet;
    result = Buffer.concat([result.subarray(0, at), result.subarray(at + remove)]);
  }
  return result;
}

function authSafeOf(octets: Buffer): Buffer {
  const pfx = sequenceOf(readWhole(octets, 'BER'), 'BER');
  pfx.universal(universal.integer);
  const contentInfo = pfx.sequence();
  contentInfo.next();
  return octetsOf(present(contentInfo.optionalExplicit(0)), 'BER');
}

/** A PFX around `authSafe` with the given MAC (SHA-1, salt of eight zeros). */
function sealed(authSafe: Buffer, mac: Buffer, iterations: number): Buffer {
  const info = sequence(sequence(oid('1.3.14.3.2.26'), nullValue()), octetString(mac));
  return sequence(
    integer(3),
    sequence(oid('1.2.840.113549.1.7.1'), explicit(0, octetString(authSafe))),
    sequence(info, octetString(Buffer.alloc(8)), integer(iterations)),
  );
}

import { execFileSync } from 'node:child_process';
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { chmodSync, symlinkSync, writeFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bitString, explicit, integer, octetString, oid, sequence } from '../../../src/asn1/writer.ts';
import { SealgateError } from '../../../src/errors.ts';
import { type LoadPemKeyOptions, loadPemKey } from '../../../src/hsm/files/pem-key.ts';
import { writePrivateKey } from '../../../src/hsm/files/pkcs8.ts';
import { Secret } from '../../../src/log/secret.ts';
import { Authority } from '../support/authority.ts';
import { present, refusal } from '../support/key-behaviour.ts';

const authority = new Authority();

beforeAll(() => {
  for (const kind of ['rsa', 'p256', 'ed25519'] as const) {
    authority.newKey(`${kind}.key`, kind);
    authority.certify(kind, { address: `${kind}@example.org` });
  }
});

afterAll(() => authority.remove());

function load(keyFile: string, kind: string, changes: Partial<LoadPemKeyOptions> = {}) {
  return loadPemKey({
    certificateFile: authority.path(`${kind}.crt`),
    keyFile: authority.path(keyFile),
    name: 'alice',
    ...changes,
  });
}

/** A private file with the given text. */
function written(name: string, text: string | Buffer): string {
  writeFileSync(authority.path(name), text, { mode: 0o600 });
  return name;
}

describe('forms of a private key', () => {
  test.each(['rsa', 'p256', 'ed25519'])('PKCS#8 (RFC 5208), %s', async (kind) => {
    const [key] = await load(`${kind}.key`, kind);
    expect(present(key)).toMatchObject({ label: 'alice', chain: [] });
    expect(present(key).certificate.mailboxes).toEqual([`${kind}@example.org`]);
  });

  test('PKCS#1 (RFC 8017 §A.1.2) and SEC 1 (RFC 5915), with curve parameters before it', async () => {
    authority.openssl(
      'rsa',
      '-traditional',
      '-in',
      authority.path('rsa.key'),
      '-out',
      authority.path('pkcs1.key'),
    );
    authority.openssl('ec', '-in', authority.path('p256.key'), '-out', authority.path('sec1.key'));
    const parameters = authority.openssl('ecparam', '-name', 'prime256v1').toString();
    expect(authority.read('pkcs1.key').toString()).toContain('BEGIN RSA PRIVATE KEY');
    expect(await load('pkcs1.key', 'rsa')).toHaveLength(1);
    const both = written('sec1-parameters.key', parameters + authority.read('sec1.key').toString());
    expect(await load(both, 'p256')).toHaveLength(1);
  });

  test.each([
    ['OpenSSL’s default', []],
    ['PBES2 with AES-128 and SHA-512', ['-v2', 'aes-128-cbc', '-v2prf', 'hmacWithSHA512']],
    ['PBES2 with 3DES', ['-v2', 'des3']],
    ['scrypt (RFC 7914)', ['-scrypt']],
    ['PKCS#12 with 3DES', ['-v1', 'PBE-SHA1-3DES']],
    ['PKCS#12 with RC2-40', ['-v1', 'PBE-SHA1-RC2-40', '-provider', 'legacy', '-provider', 'default']],
  ])('encrypted PKCS#8: %s', async (name, args) => {
    const file = `encrypted-${name.length}.key`;
    authority.openssl(
      'pkcs8',
      '-topk8',
      '-in',
      authority.path('rsa.key'),
      '-passout',
      'pass:verse',
      '-out',
      authority.path(file),
      ...args,
    );
    chmodSync(authority.path(file), 0o600);
    expect(await load(file, 'rsa', { passphrase: new Secret('verse') })).toHaveLength(1);
    const missing = await refusal(load(file, 'rsa'));
    expect([missing.code, missing.duration]).toEqual(['key.passphrase-missing', 'permanent']);
    // Without a MAC one wrong password in 256 passes the padding: several, and every one is said.
    for (const wrong of ['', 'Verse', 'verse ', 'x', 'y', 'z']) {
      const error = await refusal(load(file, 'rsa', { passphrase: new Secret(wrong) }));
      expect(error.code).toBe('key.passphrase-incorrect');
      expect(error.publicText).toContain(authority.path(file));
    }
  });

  test('OpenSSL’s old encryption is refused with the way out', async () => {
    authority.openssl(
      'rsa',
      '-traditional',
      '-aes128',
      '-passout',
      'pass:verse',
      '-in',
      authority.path('rsa.key'),
      '-out',
      authority.path('old.key'),
    );
    const error = await refusal(load('old.key', 'rsa', { passphrase: new Secret('verse') }));
    expect(error.code).toBe('key.file-unsupported');
    expect(error.publicText).toContain('openssl pkcs8 -topk8');
  });
});

describe('certificate and chain', () => {
  test('in any order; the one that fits the key is found, the root is left out', async () => {
    const files = ['root.crt', 'intermediate.crt', 'p256.crt', 'rsa.crt'].map((name) => authority.read(name));
    const certificateFile = authority.path(written('bundle.crt', Buffer.concat(files)));
    const [key, none] = await load('rsa.key', 'rsa', { certificateFile });
    expect(none).toBeUndefined();
    expect(present(key).certificate.mailboxes).toEqual(['rsa@example.org']);
    expect(present(key).chain.map((each) => each.subject.text)).toEqual(['CN=Test Intermediate']);
  });

  test('none that fits the key', async () => {
    for (const kind of ['p256', 'ed25519']) {
      const error = await refusal(load('rsa.key', kind));
      expect(error.code).toBe('key.no-certificate');
      expect(error.publicText).toContain(authority.path(`${kind}.crt`));
    }
    // The loader must not be confused by the comparison before (keys of other kinds).
    expect(await load('p256.key', 'p256')).toHaveLength(1);
  });

  test('a file with both serves as both', async () => {
    const both = written('both.pem', Buffer.concat([authority.read('p256.key'), authority.read('p256.crt')]));
    expect(await load(both, 'p256', { certificateFile: authority.path(both) })).toHaveLength(1);
  });

  test.each([
    ['empty', ''],
    ['a certificate only', null],
    ['two keys', 'two'],
    ['a cut-off key', 'cut'],
    ['a public key', 'public'],
  ])('a key file that is %s', async (name, what) => {
    const rsa = authority.read('rsa.key').toString();
    const contents: Record<string, string | Buffer> = {
      two: rsa + authority.read('p256.key').toString(),
      cut: rsa.slice(0, 400),
      public: authority.read('rsa.pub'),
    };
    const text = what === null ? authority.read('rsa.crt') : (contents[what] ?? '');
    const file = written(`wrong-${name.length}.key`, text);
    expect((await refusal(load(file, 'rsa'))).code).toBe('key.file-malformed');
  });

  test('mutated: a SealgateError or the very same key', async () => {
    const original = authority.read('p256.key');
    await fc.assert(
      fc.asyncProperty(fc.nat(original.length - 1), fc.nat(255), async (at, octet) => {
        const mutated = Buffer.from(original);
        mutated[at] = octet;
        const outcome = await load(written('mutated.key', mutated), 'p256').catch((error: unknown) => error);
        if (!Array.isArray(outcome)) expect(outcome).toBeInstanceOf(SealgateError);
      }),
      { numRuns: 150 },
    );
  });
});

describe('the file itself', () => {
  test.each([0o640, 0o604, 0o620, 0o602, 0o644, 0o666])(
    'readable or writable by others (mode %o) is refused with the command that helps',
    async (mode) => {
      const file = authority.path(written('open.key', authority.read('rsa.key')));
      chmodSync(file, mode);
      const error = await refusal(load('open.key', 'rsa'));
      expect([error.code, error.duration]).toEqual(['key.file-permissions', 'permanent']);
      expect(error.publicText).toContain(`chmod 600 ${file}`);
      expect(await load('open.key', 'rsa', { permissions: 'any' })).toHaveLength(1);
    },
  );

  test('a link is judged by the file it leads to', async () => {
    const file = authority.path(written('target.key', authority.read('rsa.key')));
    chmodSync(file, 0o644);
    symlinkSync(file, authority.path('link.key'));
    expect((await refusal(load('link.key', 'rsa'))).code).toBe('key.file-permissions');
  });

  test('absent, a folder, a named pipe, and far too large', async () => {
    execFileSync('mkfifo', ['-m', '600', authority.path('pipe.key')]);
    written('large.key', Buffer.alloc(2 * 1024 * 1024, 'x'));
    for (const file of ['absent.key', '.', 'pipe.key', 'large.key']) {
      const error = await refusal(load(file, 'rsa', file === '.' ? { permissions: 'any' } : {}));
      expect([error.code, error.duration]).toEqual(['key.file-unreadable', 'permanent']);
      expect(error.publicText).toContain(authority.path(file));
    }
  });
});

describe('a private key that is written', () => {
  const passphrase = new Secret('Grüße an 東京');

  test.each(['rsa', 'p256', 'ed25519'])(
    'OpenSSL and we read it, with and without a passphrase: %s',
    async (kind) => {
      const key = createPrivateKey(authority.read(`${kind}.key`));
      const plain = written('plain.key', await writePrivateKey(key, null));
      expect(await load(plain, kind)).toHaveLength(1);
      const text = await writePrivateKey(key, passphrase);
      const encrypted = written('encrypted.key', text);
      expect(text).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
      expect(await load(encrypted, kind, { passphrase })).toHaveLength(1);
      const again = execFileSync('openssl', ['pkey', '-in', authority.path(encrypted), '-passin', 'stdin'], {
        input: `${passphrase.reveal()}\n`,
      });
      expect(createPrivateKey(again).equals(key)).toBe(true);
    },
  );

  test('DER in each form, with and without a passphrase', async () => {
    const rsa = createPrivateKey(authority.read('rsa.key'));
    const ec = createPrivateKey(authority.read('p256.key'));
    const pem = await writePrivateKey(ec, passphrase, 2_048);
    const forms: [string, Buffer, Partial<LoadPemKeyOptions>][] = [
      ['rsa', rsa.export({ type: 'pkcs8', format: 'der' }), {}],
      ['rsa', rsa.export({ type: 'pkcs1', format: 'der' }), {}],
      ['p256', ec.export({ type: 'sec1', format: 'der' }), {}],
      ['p256', Buffer.from(pem.split('\n').slice(1, -2).join(''), 'base64'), { passphrase }],
    ];
    for (const [kind, octets, options] of forms) {
      expect(await load(written('der.key', octets), kind, options)).toHaveLength(1);
    }
    const garbage = Buffer.from('3003020105', 'hex');
    expect((await refusal(load(written('der.key', garbage), 'rsa'))).code).toBe('key.file-malformed');
  });

  test('changed in any octet of its ciphertext, it is refused or still the whole key', async () => {
    for (const kind of ['rsa', 'p256'] as const) {
      const key = createPrivateKey(authority.read(`${kind}.key`));
      const text = await writePrivateKey(key, new Secret('x'), 2_048);
      const der = Buffer.from(text.split('\n').slice(1, -2).join(''), 'base64');
      const step = kind === 'rsa' ? 23 : 3;
      for (let at = 0; at < der.length; at += step) {
        const changed = Buffer.from(der);
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
        const file = written('changed.key', changed);
        const outcome = await load(file, kind, { passphrase: new Secret('x') }).catch(
          (error: unknown) => error,
        );
        if (Array.isArray(outcome)) expect(worksAs(outcome[0].privateKey, key), `octet ${at}`).toBe(true);
        else expect((outcome as SealgateError).code).toMatch(/^key\./);
      }
    }
  });

  test('whose private number is damaged is refused, though its public ones are right', async () => {
    const jwk = createPrivateKey(authority.read('p256.key')).export({ format: 'jwk' });
    const other = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({
      format: 'jwk',
    });
    const damaged = sequence(
      integer(1),
      octetString(Buffer.from(other.d ?? '', 'base64url')),
      explicit(0, oid('1.2.840.10045.3.1.7')),
      explicit(1, bitString(Buffer.from(`04${hex(jwk.x)}${hex(jwk.y)}`, 'hex'))),
    );
    const error = await refusal(load(written('damaged.key', damaged), 'p256'));
    expect(error.code).toBe('key.file-malformed');
    expect(`${error.message} ${error.reason}`).not.toContain(hex(other.d));
  });

  function hex(base64url: string | undefined): string {
    return Buffer.from(base64url ?? '', 'base64url').toString('hex');
  }

  function worksAs(found: KeyObject, wanted: KeyObject): boolean {
    const data = Buffer.from('trial');
    return verify('sha256', data, createPublicKey(wanted), sign('sha256', data, found));
  }
});

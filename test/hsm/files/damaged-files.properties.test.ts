import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { readWhole } from '../../../src/asn1/reader.ts';
import * as der from '../../../src/asn1/writer.ts';
import { SealgateError } from '../../../src/errors.ts';
import { PasswordReader } from '../../../src/hsm/files/pbe.ts';
import { readEncryptedPrivateKeyInfo, writePrivateKey } from '../../../src/hsm/files/pkcs8.ts';
import { readPkcs12 } from '../../../src/hsm/files/pkcs12.ts';
import { keysOfPkcs12 } from '../../../src/hsm/files/pkcs12-key.ts';
import { writePkcs12 } from '../../../src/hsm/files/pkcs12-writer.ts';
import { Secret } from '../../../src/log/secret.ts';
import { readPem } from '../../../src/pki/pem.ts';
import { elementPaths } from '../../cms/support/element-paths.ts';
import { ecKey, makeCa, makeEnd } from '../../pki/make-certificate.ts';

/** Key files come back as they were written; one that was changed is refused, with an error that a person understands. */

const password = 'verse 7';
const ca = makeCa('CA');
const bob = makeEnd('Bob', 'CA');
const entry = { privateKey: ecKey('Bob').privateKey, certificate: bob, chain: [ca], friendlyName: 'bob' };
const plain = entry.privateKey.export({ type: 'pkcs8', format: 'der' });

async function codeOf(run: () => Promise<unknown>): Promise<string | null> {
  try {
    await run();
    return null;
  } catch (error) {
    if (error instanceof SealgateError) return error.code;
    throw error;
  }
}

const isRefusal = (code: string | null): boolean =>
  code !== null &&
  /^(key\.(file-malformed|file-unsupported|passphrase-incorrect)|asn1\.malformed)$/.test(code);

describe.each(['current', 'pbmac1', 'old-programs'] as const)('PKCS #12, %s', (protection) => {
  let file: Buffer;

  beforeAll(async () => {
    file = await writePkcs12([entry], new Secret(password), { protection, iterations: 2_048 });
  });

  it('comes back as it was written', async () => {
    const contents = await readPkcs12(file, password);
    expect(contents.privateKeys.map(({ privateKeyInfo }) => privateKeyInfo)).toEqual([plain]);
    expect(contents.certificates.map((each) => each.der)).toEqual([bob.der, ca.der]);
    const [loaded] = await keysOfPkcs12(file, new Secret(password), 'file');
    expect(loaded?.certificate.der).toEqual(bob.der);
    // The root goes with no signature.
    expect(loaded?.chain).toEqual([]);
  });

  it('is refused with one octet changed, wherever', async () => {
    // Every place of the structure outside, and some inside what the MAC covers, which is one OCTET STRING to it.
    const places = [...file.keys()].filter((at) => at < 60 || at > file.length - 100 || at % 40 === 0);
    const codes = await Promise.all(
      places.map(async (at) => {
        const changed = Buffer.from(file);
        changed[at] = (changed[at] ?? 0) ^ 0x01;
        return [at, await codeOf(() => readPkcs12(changed, password))] as const;
      }),
    );
    const unnoticed = codes.filter(([, code]) => !isRefusal(code)).map(([at]) => at);
    // RFC 9579 has its salt and its count elsewhere, and nothing in macSalt and iterations counts.
    const unused = protection === 'pbmac1' ? ['2.1', '2.2'] : [];
    const paths = elementPaths(file);
    expect(unnoticed.filter((at) => !unused.includes(paths[at] ?? ''))).toEqual([]);
  });

  it('is refused cut off, and with another password', async () => {
    for (const length of [0, 1, 10, file.length >> 1, file.length - 1]) {
      expect(await codeOf(() => readPkcs12(file.subarray(0, length), password))).toBe('asn1.malformed');
    }
    for (const other of ['', 'verse 8', 'VERSE 7', `${password} `]) {
      expect(await codeOf(() => readPkcs12(file, other))).toBe('key.passphrase-incorrect');
    }
  });
});

describe('encrypted PKCS #8', () => {
  it('comes back as it was written, for any passphrase', async () => {
    const passphrase = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
    const keys = [entry.privateKey, generateKeyPairSync('ed25519').privateKey];
    await fc.assert(
      fc.asyncProperty(passphrase, fc.constantFrom(...keys), async (text, key) => {
        const [object] = readPem(await writePrivateKey(key, new Secret(text), 2_048));
        if (object === undefined) throw new Error('nothing was written');
        const read = await readEncryptedPrivateKeyInfo(
          readWhole(object.der, 'DER'),
          new PasswordReader(text),
        );
        expect(read).toEqual(key.export({ type: 'pkcs8', format: 'der' }));
      }),
      { numRuns: 30 },
    );
  });

  it('with scrypt parameters that RFC 7914 does not have is refused', async () => {
    const encrypted = (N: number, r: number, p: number): Buffer => {
      const scrypt = der.sequence(
        der.oid('1.3.6.1.4.1.11591.4.11'),
        der.sequence(der.octetString(Buffer.alloc(8)), der.integer(N), der.integer(r), der.integer(p)),
      );
      const aes = der.sequence(der.oid('2.16.840.1.101.3.4.1.42'), der.octetString(Buffer.alloc(16)));
      const pbes2 = der.sequence(der.oid('1.2.840.113549.1.5.13'), der.sequence(scrypt, aes));
      return der.sequence(pbes2, der.octetString(Buffer.alloc(32)));
    };
    const code = (N: number, r: number, p: number): Promise<string | null> =>
      codeOf(() =>
        readEncryptedPrivateKeyInfo(readWhole(encrypted(N, r, p), 'DER'), new PasswordReader(password)),
      );
    expect(await code(16, 8, 1)).toBe('key.passphrase-incorrect');
    const impossible: [number, number, number][] = [
      [0, 8, 1],
      [1, 8, 1],
      [97, 8, 1],
      [-16, 8, 1],
      [16, 0, 1],
      [16, 8, 0],
      [16, 8, 17],
      [2 ** 16, 1, 1],
      [2 ** 40, 8, 1],
      [2 ** 46, 2 ** 40, 1],
    ];
    for (const parameters of impossible) expect(await code(...parameters)).toBe('key.file-unsupported');
  });
});

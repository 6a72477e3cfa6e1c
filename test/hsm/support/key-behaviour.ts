import {
  constants,
  createHash,
  diffieHellman,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { DecryptionKey, DigestName, SignatureScheme, SigningKey } from '../../../src/cms/keys.ts';
import { SealgateError } from '../../../src/errors.ts';
import { verifySignature } from '../../../src/hsm/verify-signature.ts';
import type { Authority } from './authority.ts';

/** What every implementation of the two key interfaces must do, whatever holds the private key. */

export type KeyUnderTest = {
  authority: Authority;
  signing: SigningKey | null;
  decryption: DecryptionKey | null;
};

type Kind = 'rsa' | 'ec' | 'ed25519' | 'x25519';

/** The SealgateError a promise is rejected with. */
export async function refusal(promise: Promise<unknown>): Promise<SealgateError> {
  const outcome = await promise.then(
    () => 'it was not refused',
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(SealgateError);
  return outcome as SealgateError;
}

export function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('missing in the test');
  return value;
}

export function keyBehaviour(name: string, kind: Kind, get: () => KeyUnderTest): void {
  describe(name, () => {
    if (kind !== 'x25519') signing(kind, get);
    if (kind === 'rsa') keyTransport(get);
    if (kind === 'ec' || kind === 'x25519') keyAgreement(kind, get);
  });
}

function signing(kind: Kind, get: () => KeyUnderTest): void {
  test('signs with every scheme it offers, and OpenSSL agrees', async () => {
    const { signing: key, authority } = get();
    const data = randomBytes(333);
    const schemes = present(key).schemes;
    expect(schemes.length).toBeGreaterThan(0);
    for (const scheme of schemes) {
      const signature = await present(key).sign(scheme, data);
      expect(await verifySignature(present(key).certificate.publicKey, scheme, data, signature)).toBe(true);
      if ('digest' in scheme) opensslVerifies(authority, present(key), scheme, data, signature);
    }
  });

  test('signs a message of a megabyte and an empty one', async () => {
    const key = present(get().signing);
    const scheme = present(key.schemes[0]);
    for (const data of [randomBytes(1024 * 1024), Buffer.alloc(0)]) {
      const signature = await key.sign(scheme, data);
      expect(await verifySignature(key.certificate.publicKey, scheme, data, signature)).toBe(true);
    }
  });

  test('signs a hundred messages at once, each its own', async () => {
    const key = present(get().signing);
    const scheme = present(key.schemes[0]);
    const messages = Array.from({ length: 100 }, (_, i) => Buffer.from(`message ${i}`));
    const signatures = await Promise.all(messages.map((message) => key.sign(scheme, message)));
    for (const [i, signature] of signatures.entries()) {
      expect(await verifySignature(key.certificate.publicKey, scheme, present(messages[i]), signature)).toBe(
        true,
      );
    }
  });

  test.each<SignatureScheme>([
    { kind: 'rsa-pkcs1', digest: 'sha1' },
    { kind: 'rsa-pss', digest: 'sha256', saltOctets: 0 },
    { kind: 'ecdsa', digest: 'sha1' },
    { kind: 'eddsa', curve: 'Ed448' },
    kind === 'rsa' ? { kind: 'ecdsa', digest: 'sha256' } : { kind: 'rsa-pkcs1', digest: 'sha256' },
  ])('refuses a scheme it does not offer: %o', async (scheme) => {
    const error = await refusal(present(get().signing).sign(scheme, Buffer.from('x')));
    expect([error.code, error.duration]).toEqual(['key.refused', 'permanent']);
  });
}

function opensslVerifies(
  authority: Authority,
  key: SigningKey,
  scheme: Exclude<SignatureScheme, { kind: 'eddsa' | 'ml-dsa' }>,
  data: Buffer,
  signature: Buffer,
): void {
  const id = createHash('sha256').update(signature).digest('hex').slice(0, 16);
  const [publicKey, signatureFile, digestFile] = ['pub', 'sig', 'dgst'].map((end) =>
    authority.path(`${id}.${end}`),
  ) as [string, string, string];
  writeFileSync(publicKey, key.certificate.publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(signatureFile, signature);
  writeFileSync(digestFile, createHash(scheme.digest).update(data).digest());
  const padding =
    scheme.kind === 'ecdsa'
      ? []
      : ['-pkeyopt', `rsa_padding_mode:${scheme.kind === 'rsa-pss' ? 'pss' : 'pkcs1'}`];
  const salt = scheme.kind === 'rsa-pss' ? ['-pkeyopt', `rsa_pss_saltlen:${scheme.saltOctets}`] : [];
  const said = authority.openssl(
    'pkeyutl',
    '-verify',
    '-pubin',
    '-inkey',
    publicKey,
    '-in',
    digestFile,
    '-sigfile',
    signatureFile,
    ...padding,
    ...salt,
    '-pkeyopt',
    `digest:${scheme.digest}`,
  );
  expect(said.toString()).toContain('Signature Verified Successfully');
  for (const file of [publicKey, signatureFile, digestFile]) rmSync(file);
}

const DIGESTS: readonly DigestName[] = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'];

function keyTransport(get: () => KeyUnderTest): void {
  const cek = randomBytes(32);

  test('RFC 8017 §7.2: decrypts PKCS#1 v1.5', async () => {
    const key = present(get().decryption);
    const encrypted = publicEncrypt(
      { key: key.certificate.publicKey, padding: constants.RSA_PKCS1_PADDING },
      cek,
    );
    expect(await key.decryptKey({ kind: 'rsa-pkcs1' }, encrypted)).toEqual(cek);
  });

  test.each(DIGESTS.flatMap((digest) => DIGESTS.map((maskDigest) => [digest, maskDigest] as const)))(
    'RFC 8017 §7.1: decrypts OAEP of OpenSSL with %s and MGF1 with %s',
    async (digest, maskDigest) => {
      const { decryption, authority } = get();
      for (const oaepLabel of [Buffer.alloc(0), Buffer.from('a label')]) {
        const encrypted = opensslOaep(authority, present(decryption), digest, maskDigest, oaepLabel, cek);
        const scheme = { kind: 'rsa-oaep', digest, maskDigest, label: oaepLabel } as const;
        expect(await present(decryption).decryptKey(scheme, encrypted)).toEqual(cek);
      }
    },
  );

  test.each([
    ['sha1', 'sha1'],
    ['sha256', 'sha256'],
    ['sha256', 'sha1'],
  ] as const)('OAEP that does not fit is one uniform failure (%s, %s)', async (digest, maskDigest) => {
    const key = present(get().decryption);
    const { publicKey } = key.certificate;
    const label = Buffer.from('right');
    const good = publicEncrypt(
      { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: digest, oaepLabel: label },
      cek,
    );
    const flipped = Buffer.from(good);
    flipped[200] = (flipped[200] ?? 0) ^ 1;
    const pkcs1 = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, cek);
    const failures: [Buffer, Buffer][] = [
      [good, Buffer.from('wrong')],
      [flipped, label],
      [pkcs1, label],
      [Buffer.alloc(256), label],
      [Buffer.alloc(256, 0xff), label],
      [good.subarray(1), label],
      [Buffer.concat([Buffer.alloc(1), good]), label],
      [Buffer.alloc(0), label],
    ];
    for (const [encrypted, oaepLabel] of failures) {
      const error = await refusal(
        key.decryptKey({ kind: 'rsa-oaep', digest, maskDigest, label: oaepLabel }, encrypted),
      );
      expect([error.code, error.duration]).toEqual(['key.decrypt-failed', 'permanent']);
    }
  });

  test('RFC 8017 §7.1.2 step 1b: an encrypted key without its leading zero is refused', async () => {
    const key = present(get().decryption);
    let encrypted = Buffer.alloc(256, 1);
    while (encrypted[0] !== 0) {
      encrypted = publicEncrypt(
        { key: key.certificate.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING },
        cek,
      );
    }
    const scheme = { kind: 'rsa-oaep', digest: 'sha1', maskDigest: 'sha1', label: Buffer.alloc(0) } as const;
    expect(await key.decryptKey(scheme, encrypted)).toEqual(cek);
    for (const wrong of [scheme, { kind: 'rsa-pkcs1' } as const]) {
      expect((await refusal(key.decryptKey(wrong, encrypted.subarray(1)))).code).toBe('key.decrypt-failed');
    }
  });

  test('damaged PKCS#1 v1.5 never gives the key, and leaves the key usable', async () => {
    const key = present(get().decryption);
    const good = publicEncrypt({ key: key.certificate.publicKey, padding: constants.RSA_PKCS1_PADDING }, cek);
    for (const at of [0, 1, 100, 255]) {
      const damaged = Buffer.from(good);
      damaged[at] = (damaged[at] ?? 0) ^ 0x40;
      const outcome = await key.decryptKey({ kind: 'rsa-pkcs1' }, damaged).catch((error: unknown) => error);
      if (Buffer.isBuffer(outcome)) expect(outcome.equals(cek)).toBe(false);
      else expect((outcome as SealgateError).code).toBe('key.decrypt-failed');
    }
    expect(await key.decryptKey({ kind: 'rsa-pkcs1' }, good)).toEqual(cek);
  });

  test('an RSA key refuses decapsulation', async () => {
    const error = await refusal(present(get().decryption).decapsulate(Buffer.alloc(1_088)));
    expect([error.code, error.duration]).toEqual(['key.refused', 'permanent']);
  });

  test('an RSA key refuses key agreement', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const error = await refusal(
      present(get().decryption).agree(publicKey.export({ type: 'spki', format: 'der' })),
    );
    expect(error.code).toBe('key.refused');
  });
}

function opensslOaep(
  authority: Authority,
  key: DecryptionKey,
  digest: DigestName,
  maskDigest: DigestName,
  label: Buffer,
  cek: Buffer,
): Buffer {
  const [publicKey, input] = [authority.path('oaep.pub'), authority.path('oaep.in')];
  writeFileSync(publicKey, key.certificate.publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(input, cek);
  const options = ['rsa_padding_mode:oaep', `rsa_oaep_md:${digest}`, `rsa_mgf1_md:${maskDigest}`];
  if (label.length > 0) options.push(`rsa_oaep_label:${label.toString('hex')}`);
  return authority.openssl(
    'pkeyutl',
    '-encrypt',
    '-pubin',
    '-inkey',
    publicKey,
    '-in',
    input,
    ...options.flatMap((option) => ['-pkeyopt', option]),
  );
}

function keyAgreement(kind: 'ec' | 'x25519', get: () => KeyUnderTest): void {
  function ephemeral(key: DecryptionKey) {
    const curve = key.certificate.publicKey.asymmetricKeyDetails?.namedCurve;
    return kind === 'x25519'
      ? generateKeyPairSync('x25519')
      : generateKeyPairSync('ec', { namedCurve: present(curve) });
  }

  test('RFC 5753 §3.1.1: agrees on the same secret as the originator', async () => {
    const key = present(get().decryption);
    const { publicKey, privateKey } = ephemeral(key);
    const theirs = diffieHellman({ privateKey, publicKey: key.certificate.publicKey });
    expect(await key.agree(publicKey.export({ type: 'spki', format: 'der' }))).toEqual(theirs);
  });

  test('invalid curve attack: keys of another curve and points on none are refused', async () => {
    const key = present(get().decryption);
    const good = ephemeral(key).publicKey.export({ type: 'spki', format: 'der' });
    const offCurve = Buffer.from(good);
    offCurve[offCurve.length - 1] = (offCurve.at(-1) ?? 0) ^ 1;
    const attacks = [
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey.export({
        type: 'spki',
        format: 'der',
      }),
      generateKeyPairSync('ec', { namedCurve: 'brainpoolP320r1' }).publicKey.export({
        type: 'spki',
        format: 'der',
      }),
      generateKeyPairSync('x448').publicKey.export({ type: 'spki', format: 'der' }),
      generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'der' }),
      ...(kind === 'ec'
        ? [offCurve]
        : [Buffer.concat([good.subarray(0, good.length - 32), Buffer.alloc(32)])]),
      good.subarray(0, good.length - 1),
      Buffer.from('not a key'),
      Buffer.alloc(0),
    ];
    for (const attack of attacks) {
      const error = await refusal(key.agree(attack));
      expect([error.code, error.duration]).toEqual(['key.decrypt-failed', 'permanent']);
    }
  });

  if (kind === 'ec') {
    test.each([
      ['absent', []],
      ['NULL', [5, 0]],
    ] as const)(
      'RFC 5753 §3.1.1: parameters of the originator key that are %s are the recipient’s',
      async (_, parameters) => {
        const key = present(get().decryption);
        const { publicKey, privateKey } = ephemeral(key);
        const theirs = diffieHellman({ privateKey, publicKey: key.certificate.publicKey });
        const spki = publicKey.export({ type: 'spki', format: 'der' });
        const point = spki.subarray(spki.indexOf(Buffer.from([0, 4])));
        const algorithm = Buffer.from([0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, ...parameters]);
        const tlv = (tag: number, content: Buffer) =>
          Buffer.concat([
            Buffer.from(content.length < 128 ? [tag, content.length] : [tag, 0x81, content.length]),
            content,
          ]);
        expect(await key.agree(tlv(0x30, Buffer.concat([tlv(0x30, algorithm), tlv(3, point)])))).toEqual(
          theirs,
        );
      },
    );
  }

  test('a key for agreement refuses decapsulation', async () => {
    const error = await refusal(present(get().decryption).decapsulate(Buffer.alloc(1_088)));
    expect([error.code, error.duration]).toEqual(['key.refused', 'permanent']);
  });

  test('a key for agreement refuses RSA decryption', async () => {
    const error = await refusal(
      present(get().decryption).decryptKey({ kind: 'rsa-pkcs1' }, Buffer.alloc(256)),
    );
    expect(error.code).toBe('key.refused');
  });
}

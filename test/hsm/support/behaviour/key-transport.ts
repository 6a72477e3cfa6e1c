import { constants, publicEncrypt, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { DigestName, KeyTransportScheme } from '../../../../src/cms/keys.ts';
import { SealgateError } from '../../../../src/errors.ts';
import { parseCertificate } from '../../../../src/pki/certificate.ts';
import type { KeyKind, KeyUnderTest } from '../key-under-test.ts';
import { codeOf } from '../refusal.ts';

const DIGESTS: readonly DigestName[] = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'];
const NO_LABEL = Buffer.alloc(0);
const OAEP = { kind: 'rsa-oaep', digest: 'sha1', maskDigest: 'sha1', label: NO_LABEL } as const;

export function keyTransport(kind: KeyKind, get: () => KeyUnderTest): void {
  test('key transport that is not told is refused', async () => {
    const { place, description } = get();
    for (const scheme of [{ kind: 'rsa-pkcs1' }, OAEP] as const) {
      if (description.opens.includes(scheme.kind)) continue;
      const operation = {
        kind: 'decrypt',
        key: description.key,
        scheme,
        encryptedKey: Buffer.alloc(256, 1),
      } as const;
      expect([scheme.kind, await codeOf(place.perform(operation))]).toEqual([
        scheme.kind,
        ['key.refused', 'permanent'],
      ]);
    }
  });

  if (kind !== 'rsa') return;
  const contentKey = randomBytes(32);

  test('RFC 8017 §7.2: decrypts PKCS#1 v1.5, of every length', async () => {
    const key = opening(get(), 'rsa-pkcs1');
    if (key === null) return;
    for (const octets of [0, 1, 16, 32, 117, 245]) {
      const message = randomBytes(octets);
      const encrypted = publicEncrypt({ key: key.publicKey, padding: constants.RSA_PKCS1_PADDING }, message);
      expect(await key.open({ kind: 'rsa-pkcs1' }, encrypted)).toEqual(message);
    }
  });

  test.each(DIGESTS)('RFC 8017 §7.1: decrypts OAEP of node:crypto with %s', async (digest) => {
    const key = opening(get(), 'rsa-oaep');
    if (key === null) return;
    for (const label of [NO_LABEL, Buffer.from('a label')]) {
      const padding = constants.RSA_PKCS1_OAEP_PADDING;
      const how = { key: key.publicKey, padding, oaepHash: digest, oaepLabel: label };
      const opened = key.open(
        { kind: 'rsa-oaep', digest, maskDigest: digest, label },
        publicEncrypt(how, contentKey),
      );
      expect(await opened).toEqual(contentKey);
    }
  });

  test.each([
    ['sha1', 'sha256', ''],
    ['sha256', 'sha1', ''],
    ['sha256', 'sha1', 'a label'],
    ['sha512', 'sha224', ''],
    ['sha224', 'sha384', ''],
  ] as const)(
    'RFC 8017 §7.1: decrypts OAEP of OpenSSL with %s, MGF1 with %s and label "%s"',
    async (...how) => {
      const key = opening(get(), 'rsa-oaep');
      if (key === null) return;
      const [digest, maskDigest, text] = how;
      const label = Buffer.from(text);
      const encrypted = opensslOaep(get(), { digest, maskDigest, label }, contentKey);
      expect(await key.open({ kind: 'rsa-oaep', digest, maskDigest, label }, encrypted)).toEqual(contentKey);
    },
  );

  test.each([
    ['sha1', 'sha1'],
    ['sha256', 'sha256'],
    ['sha256', 'sha1'],
  ] as const)('OAEP that does not fit is one uniform failure (%s, %s)', async (digest, maskDigest) => {
    const key = opening(get(), 'rsa-oaep');
    if (key === null) return;
    const { publicKey } = key;
    const label = Buffer.from('right');
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    const good = publicEncrypt({ key: publicKey, padding, oaepHash: digest, oaepLabel: label }, contentKey);
    const flipped = Buffer.from(good);
    flipped[200] = (flipped[200] ?? 0) ^ 1;
    const pkcs1 = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, contentKey);
    const failures: [string, Buffer, Buffer][] = [
      ['another label', good, Buffer.from('wrong')],
      ['no label', good, NO_LABEL],
      ['a changed bit', flipped, label],
      ['PKCS#1 v1.5', pkcs1, label],
      ['PKCS#1 v1.5 without label', pkcs1, NO_LABEL],
      ['zeros', Buffer.alloc(256), label],
      ['zeros without label', Buffer.alloc(256), NO_LABEL],
      ['more than the modulus', Buffer.alloc(256, 0xff), label],
      ['more than the modulus without label', Buffer.alloc(256, 0xff), NO_LABEL],
      ['too short', good.subarray(1), label],
      ['too long', Buffer.concat([Buffer.alloc(1), good]), label],
      ['nothing', Buffer.alloc(0), label],
    ];
    for (const [what, encrypted, oaepLabel] of failures) {
      const opened = key.open({ kind: 'rsa-oaep', digest, maskDigest, label: oaepLabel }, encrypted);
      expect([what, await codeOf(opened)]).toEqual([what, ['key.decrypt-failed', 'permanent']]);
    }
  });

  test('RFC 8017 §7.1.2 step 1b: an encrypted key without its leading zero is refused', async () => {
    for (const [ability, scheme, padding] of [
      ['rsa-oaep', OAEP, constants.RSA_PKCS1_OAEP_PADDING],
      ['rsa-pkcs1', { kind: 'rsa-pkcs1' }, constants.RSA_PKCS1_PADDING],
    ] as const) {
      const key = opening(get(), ability);
      if (key === null) continue;
      let encrypted = Buffer.alloc(256, 1);
      while (encrypted[0] !== 0) encrypted = publicEncrypt({ key: key.publicKey, padding }, contentKey);
      expect(await key.open(scheme, encrypted)).toEqual(contentKey);
      expect(await codeOf(key.open(scheme, encrypted.subarray(1)))).toEqual([
        'key.decrypt-failed',
        'permanent',
      ]);
    }
  });

  test('Bleichenbacher: damaged PKCS#1 v1.5 never gives the key, never looks like a key that is away, and leaves it usable', async () => {
    const key = opening(get(), 'rsa-pkcs1');
    if (key === null) return;
    const { publicKey, open } = key;
    const good = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, contentKey);
    const oaep = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING }, contentKey);
    const damaged = [0, 1, 100, 255].map((at) => {
      const octets = Buffer.from(good);
      octets[at] = (octets[at] ?? 0) ^ 0x40;
      return octets;
    });
    for (const octets of [...damaged, oaep, Buffer.alloc(256), Buffer.alloc(256, 0xff)]) {
      const outcome = await open({ kind: 'rsa-pkcs1' }, octets).catch((error: unknown) => error);
      if (Buffer.isBuffer(outcome)) expect(outcome.equals(contentKey)).toBe(false);
      else {
        expect(outcome).toBeInstanceOf(SealgateError);
        const { code, duration } = outcome as SealgateError;
        expect([code, duration]).toEqual(['key.decrypt-failed', 'permanent']);
      }
      // Repeating a message tells nothing.
      const again = await open({ kind: 'rsa-pkcs1' }, octets).catch((error: unknown) => error);
      expect(Buffer.isBuffer(again) ? again : 'failed').toEqual(
        Buffer.isBuffer(outcome) ? outcome : 'failed',
      );
    }
    expect(await open({ kind: 'rsa-pkcs1' }, good)).toEqual(contentKey);
  });

  test('the gateway’s side decrypts too', async () => {
    const { decryption, description } = get();
    if (decryption === null) {
      expect(description.opens).toEqual([]);
      return;
    }
    const oaep = description.opens.includes('rsa-oaep');
    const padding = oaep ? constants.RSA_PKCS1_OAEP_PADDING : constants.RSA_PKCS1_PADDING;
    const encrypted = publicEncrypt({ key: decryption.certificate.publicKey, padding }, contentKey);
    expect(await decryption.decryptKey(oaep ? OAEP : { kind: 'rsa-pkcs1' }, encrypted)).toEqual(contentKey);
    expect(decryption.readsOaep ?? true).toBe(oaep);
  });
}

/** null where the ability is not told; that it is refused then is a test of its own. */
function opening({ place, description }: KeyUnderTest, ability: KeyTransportScheme['kind']) {
  if (!description.opens.includes(ability)) return null;
  const { publicKey } = parseCertificate(Buffer.from(description.certificate));
  return {
    publicKey,
    open: (scheme: KeyTransportScheme, encryptedKey: Buffer) =>
      place.perform({ kind: 'decrypt', key: description.key, scheme, encryptedKey }),
  };
}

function opensslOaep(
  { bench, description }: KeyUnderTest,
  { digest, maskDigest, label }: { digest: DigestName; maskDigest: DigestName; label: Buffer },
  contentKey: Buffer,
): Buffer {
  const [publicKey, input] = [bench.path('oaep.pub'), bench.path('oaep.in')];
  const { publicKey: key } = parseCertificate(Buffer.from(description.certificate));
  writeFileSync(publicKey, key.export({ type: 'spki', format: 'pem' }));
  writeFileSync(input, contentKey);
  const options = ['rsa_padding_mode:oaep', `rsa_oaep_md:${digest}`, `rsa_mgf1_md:${maskDigest}`];
  if (label.length > 0) options.push(`rsa_oaep_label:${label.toString('hex')}`);
  return bench.openssl(
    ...['pkeyutl', '-encrypt', '-pubin', '-inkey', publicKey, '-in', input],
    ...options.flatMap((option) => ['-pkeyopt', option]),
  );
}

import crypto, {
  createCipheriv,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { type DecryptOutcome, decrypt } from '../../src/cms/decrypt.ts';
import { decryptStream } from '../../src/cms/decrypt-stream.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import { readEnvelopedData } from '../../src/cms/enveloped-data.ts';
import type { DecryptionKey } from '../../src/cms/keys.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type { Spool, SpooledOctets, SpoolWriter } from '../../src/octets/source.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { ecKey, makeCertificate, makeEnd } from '../pki/make-certificate.ts';
import { decryptionKey } from './support/software-keys.ts';

/**
 * Wrong key, bad padding, bad tag, wrong wrap, wrong length (RFC 3218): one and the same outcome, on the same way, in
 * memory and as a stream, and nothing of the content anywhere.
 */

const content = Buffer.from(`Content-Type: text/plain\r\n\r\n${'The secret. '.repeat(20)}\r\n`);

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const kem = generateKeyPairSync('ml-kem-512');

function certificateFor(name: string, publicKey: KeyObject): Certificate {
  const key = publicKey.export({ type: 'spki', format: 'der' });
  return makeCertificate({ subject: name, issuer: 'CA', issuerKey: ecKey('CA'), key });
}

const rsaKey = decryptionKey(rsa.privateKey, certificateFor('Rsa', rsa.publicKey));
const bobKey = decryptionKey(ecKey('Bob').privateKey, makeEnd('Bob', 'CA'));
const kemKey = decryptionKey(kem.privateKey, certificateFor('Kem', kem.publicKey));

/** The same certificate with a key that is not its own. */
const withWrongKey = new Map<DecryptionKey, DecryptionKey>([
  [rsaKey, decryptionKey(otherRsa.privateKey, rsaKey.certificate)],
  [bobKey, decryptionKey(ecKey('Mallory').privateKey, bobKey.certificate)],
  [kemKey, decryptionKey(generateKeyPairSync('ml-kem-512').privateKey, kemKey.certificate)],
]);

/** Remembers every octet that was written, and what became of it. */
class RecordingSpool implements Spool {
  written = 0;
  kept = 0;

  begin(): SpoolWriter {
    let done = false;
    return {
      write: async (octets) => {
        this.written += octets.length;
      },
      finish: async (): Promise<SpooledOctets> => {
        done = true;
        this.kept++;
        return { ...bufferSource(Buffer.alloc(0)), discard: async () => void this.kept-- };
      },
      discard: async () => {
        expect(done).toBe(false);
        done = true;
      },
    };
  }
}

/** Both ways to open a message; they have to agree, and a failure has to leave nothing behind. */
async function failure(octets: Buffer, key: DecryptionKey): Promise<DecryptOutcome> {
  const outcome = await decrypt(octets, [key]);
  expect(outcome).not.toHaveProperty('content');
  const spool = new RecordingSpool();
  const streamed = await decryptStream(bufferSource(octets), [key], spool);
  expect(streamed).toEqual(outcome);
  expect(spool.kept).toBe(0);
  return outcome;
}

/** `octets` with `part` changed by one bit, or replaced. */
function replaced(octets: Buffer, part: Buffer, by?: Buffer): Buffer {
  const copy = Buffer.from(octets);
  const at = octets.indexOf(part);
  expect(at).toBeGreaterThan(0);
  if (by === undefined) copy[at + part.length - 1] = (copy[at + part.length - 1] ?? 0) ^ 1;
  else copy.set(by, at);
  return copy;
}

describe.each([
  ['RSA, PKCS #1 v1.5', rsaKey, 'rsa-pkcs1'],
  ['RSA, OAEP', rsaKey, 'rsa-oaep'],
  ['ECDH', bobKey, undefined],
  ['ML-KEM', kemKey, undefined],
] as const)('%s', (_, key, keyTransport) => {
  it.each(['aes256-gcm', 'aes256-ccm', 'chacha20-poly1305'] as const)('%s', async (algorithm) => {
    const recipients = [
      { certificate: key.certificate, ...(keyTransport === undefined ? {} : { keyTransport }) },
    ];
    const octets = await encrypt({ content, algorithm, recipients, postQuantum: true });
    expect(await decrypt(octets, [key])).toMatchObject({ outcome: 'opened', content });
    const { recipientInfos, ciphertext, mac } = readEnvelopedData(octets);
    const [info] = recipientInfos;
    const wrongKey = withWrongKey.get(key);
    if (info === undefined || mac === null || wrongKey === undefined) throw new Error('not what was made');
    const { encryptedKey } = info;
    const failed = { outcome: 'failed', algorithm, authenticated: true };
    const failures: [string, Buffer, DecryptionKey][] = [
      ['wrong key', octets, wrongKey],
      ['changed encrypted key: padding, wrap', replaced(octets, encryptedKey), key],
      ['encrypted key of zeros', replaced(octets, encryptedKey, Buffer.alloc(encryptedKey.length)), key],
      ['encrypted key of chance', replaced(octets, encryptedKey, randomBytes(encryptedKey.length)), key],
      ['changed tag', replaced(octets, mac), key],
      ['changed content', replaced(octets, ciphertext), key],
      ['changed first octet', replaced(octets, ciphertext.subarray(0, 20)), key],
    ];
    for (const [what, damaged, with_] of failures) {
      expect([what, await failure(damaged, with_)]).toEqual([what, failed]);
    }
  });
});

describe('RSA with PKCS #1 v1.5', () => {
  const AES256_CBC = '2.16.840.1.101.3.4.1.42';
  /** What the message says it is under; the padding of its content is right. */
  let message: Buffer;
  let encryptedKey: Buffer;

  beforeAll(async () => {
    message = await encrypt({
      content,
      algorithm: 'aes256-cbc',
      recipients: [{ certificate: rsaKey.certificate }],
    });
    const [info] = readEnvelopedData(message).recipientInfos;
    if (info === undefined) throw new Error('no recipient');
    encryptedKey = info.encryptedKey;
  });
  afterEach(() => {
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  });

  /** An encryption block as RFC 8017 §7.2.1 has it, or nearly. */
  function raw(block: Buffer): Buffer {
    return publicEncrypt({ key: rsa.publicKey, padding: crypto.constants.RSA_NO_PADDING }, block);
  }
  const filled = (...octets: number[]): Buffer =>
    Buffer.concat([Buffer.from(octets), Buffer.alloc(256, 0x41)]).subarray(0, 256);

  it('takes the same way whatever is wrong with the encrypted key', async () => {
    const padded = (key: Buffer): Buffer =>
      publicEncrypt({ key: rsa.publicKey, padding: crypto.constants.RSA_PKCS1_PADDING }, key);
    const wrongs: [string, Buffer][] = [
      ['another key', padded(randomBytes(32))],
      ['a short key', padded(randomBytes(16))],
      ['a long key', padded(randomBytes(48))],
      ['an empty key', padded(Buffer.alloc(0))],
      ['no zero in front', raw(filled(1, 2))],
      ['another block type', raw(filled(0, 1))],
      ['no zero behind the padding', raw(filled(0, 2))],
      ['a short padding', raw(filled(0, 2, 1, 2, 3, 0))],
      ['zeros', raw(Buffer.alloc(256))],
    ];
    const ways: unknown[] = [];
    for (const [, wrong] of wrongs) {
      const spies = [vi.spyOn(crypto, 'createDecipheriv'), vi.spyOn(crypto, 'createHmac')];
      syncBuiltinESMExports();
      const damaged = replaced(message, encryptedKey, wrong);
      await decrypt(damaged, [rsaKey]);
      ways.push(spies.map(({ mock }) => mock.calls.map(([name]) => name)));
      vi.restoreAllMocks();
    }
    // One key of chance computed, one decryption begun, each time.
    for (const way of ways) expect(way).toEqual([['aes-256-cbc'], ['sha512']]);
  });

  it('never gives content for it but nonsense that nobody vouches for', async () => {
    for (let i = 0; i < 300; i++) {
      const damaged = replaced(
        message,
        encryptedKey,
        raw(Buffer.concat([Buffer.alloc(1), randomBytes(255)])),
      );
      const outcome = await decrypt(damaged, [rsaKey]);
      expect(outcome.authenticated).toBe(false);
      if (outcome.outcome === 'opened') expect(outcome.content.includes('secret')).toBe(false);
      else expect(outcome).toEqual({ outcome: 'failed', algorithm: 'aes256-cbc', authenticated: false });
    }
  });

  it('a block padding that is wrong fails as a wrong key does', async () => {
    const key = randomBytes(32);
    const iv = randomBytes(16);
    const cipher = createCipheriv('aes-256-cbc', key, iv).setAutoPadding(false);
    const plain = Buffer.concat([content.subarray(0, 239), Buffer.from([0])]);
    const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()]);
    const info = der.sequence(
      der.integer(0),
      der.sequence(rsaKey.certificate.issuer.der, der.integer(rsaKey.certificate.serialNumber)),
      algorithmIdentifier('1.2.840.113549.1.1.1', der.nullValue()),
      der.octetString(
        publicEncrypt({ key: rsa.publicKey, padding: crypto.constants.RSA_PKCS1_PADDING }, key),
      ),
    );
    const encrypted = der.sequence(
      der.oid('1.2.840.113549.1.7.1'),
      algorithmIdentifier(AES256_CBC, der.octetString(iv)),
      der.implicitPrimitive(0, ciphertext),
    );
    const body = der.sequence(der.integer(0), der.setOf([info]), encrypted);
    const octets = der.sequence(der.oid('1.2.840.113549.1.7.3'), der.explicit(0, body));
    expect(await failure(octets, rsaKey)).toEqual({
      outcome: 'failed',
      algorithm: 'aes256-cbc',
      authenticated: false,
    });
  });
});

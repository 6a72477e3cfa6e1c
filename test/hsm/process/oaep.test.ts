import { constants, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeOaep } from '../../../src/hsm/process/oaep.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** EM of RFC 8017 §7.1.1 as node:crypto makes it. */
function encoded(message: Buffer, digest: string, label: Buffer): Buffer {
  const encrypted = publicEncrypt(
    { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: digest, oaepLabel: label },
    message,
  );
  return privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, encrypted);
}

test('RFC 8017 §7.1.2: gives back every message of every length', () => {
  const digests = fc.constantFrom('sha1' as const, 'sha256' as const, 'sha384' as const, 'sha512' as const);
  fc.assert(
    fc.property(
      digests,
      fc.uint8Array({ maxLength: 126 }),
      fc.uint8Array({ maxLength: 20 }),
      (digest, message, label) => {
        const em = encoded(Buffer.from(message), digest, Buffer.from(label));
        expect(decodeOaep(em, digest, digest, label)).toEqual(Buffer.from(message));
      },
    ),
    { numRuns: 200 },
  );
});

test('every single changed bit is found, wherever it is', () => {
  const em = encoded(randomBytes(32), 'sha256', Buffer.alloc(0));
  for (let bit = 0; bit < em.length * 8; bit++) {
    const damaged = Buffer.from(em);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const message = decodeOaep(damaged, 'sha256', 'sha256', Buffer.alloc(0));
    // Bits of the message itself are not protected by OAEP; all others are.
    if (message !== null) expect(bit >> 3).toBeGreaterThanOrEqual(em.length - 32);
  }
});

test('anything at all, of any length, is no message', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (octets) => {
      expect(decodeOaep(octets, 'sha256', 'sha1', Buffer.alloc(0))).toBeNull();
    }),
    { numRuns: 500 },
  );
});

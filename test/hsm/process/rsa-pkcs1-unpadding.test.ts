import { constants, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodePkcs1 } from '../../../src/hsm/process/rsa-pkcs1-unpadding.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const secret = randomBytes(32);

function raw(encrypted: Buffer): Buffer {
  return privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, encrypted);
}

test('RFC 8017 §7.2.2: gives back every message of every length that OpenSSL pads', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 245 }), (message) => {
      const encrypted = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, message);
      expect(decodePkcs1(raw(encrypted), encrypted, secret)).toEqual(Buffer.from(message));
    }),
    { numRuns: 300 },
  );
});

/** 00 02, eight octets of padding, 00, the message. */
function encoded(change: (octets: Buffer) => void): Buffer {
  const octets = Buffer.alloc(256, 0xaa);
  octets[0] = 0;
  octets[1] = 2;
  octets[10] = 0;
  change(octets);
  return octets;
}

test('RFC 8017 §7.2.2: the shortest padding is right, a message may be empty', () => {
  expect(
    decodePkcs1(
      encoded(() => undefined),
      Buffer.alloc(256),
      secret,
    ),
  ).toEqual(Buffer.alloc(245, 0xaa));
  const empty = encoded((octets) => octets.fill(0xaa, 2, 255).fill(0, 255));
  expect(decodePkcs1(empty, Buffer.alloc(256), secret)).toEqual(Buffer.alloc(0));
});

const FAULTS: [string, (octets: Buffer) => void][] = [
  ['a first octet', (octets) => octets.fill(1, 0, 1)],
  ['a high bit of the first octet', (octets) => octets.fill(0x80, 0, 1)],
  ['a block type of signatures', (octets) => octets.fill(1, 1, 2)],
  ['seven octets of padding', (octets) => octets.fill(0, 9, 10)],
  ['no padding', (octets) => octets.fill(0, 2, 3)],
  ['no separator', (octets) => octets.fill(0xaa, 10, 11)],
  ['zeros only', (octets) => octets.fill(0)],
];

test.each(FAULTS)(
  'Bleichenbacher: %s gives a message all the same, and no octet of the real one',
  (_, fault) => {
    const block = encoded(fault);
    const encrypted = randomBytes(256);
    const first = decodePkcs1(block, encrypted, secret);
    expect(first.length).toBeLessThanOrEqual(245);
    expect(first.includes(Buffer.alloc(8, 0xaa))).toBe(false);
    // Repeating a message tells nothing; whoever does not have the key cannot foresee it.
    expect(decodePkcs1(block, encrypted, secret)).toEqual(first);
    const others = Array.from({ length: 8 }, () => decodePkcs1(block, randomBytes(256), secret));
    expect(others.some((other) => !other.equals(first))).toBe(true);
    const elsewhere = Array.from({ length: 8 }, () => decodePkcs1(block, encrypted, randomBytes(32)));
    expect(elsewhere.some((other) => !other.equals(first))).toBe(true);
  },
);

test('substitutes have every length that a message can have, and each as often', () => {
  const lengths = new Map<number, number>();
  const block = Buffer.alloc(64, 1);
  for (let i = 0; i < 5_400; i++) {
    const { length } = decodePkcs1(block, Buffer.from(String(i)), secret);
    lengths.set(length, (lengths.get(length) ?? 0) + 1);
  }
  expect([...lengths.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 54 }, (_, i) => i));
  // 100 each on average; ten standard deviations.
  for (const count of lengths.values()) expect(Math.abs(count - 100)).toBeLessThan(100);
});

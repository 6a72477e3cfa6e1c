import { hash } from 'node:crypto';
import type { DigestName } from '../../cms/keys.ts';

/** What the octets are derived for: the ID byte of RFC 7292 §B.3. */
export type KdfPurpose = 'key' | 'iv' | 'mac';

const PURPOSE: Readonly<Record<KdfPurpose, number>> = { key: 1, iv: 2, mac: 3 };

/** u and v of RFC 7292 §B.2: octets of the digest and of its block. */
const SIZES: Readonly<Record<DigestName, { digest: number; block: number }>> = {
  sha1: { digest: 20, block: 64 },
  sha224: { digest: 28, block: 64 },
  sha256: { digest: 32, block: 64 },
  sha384: { digest: 48, block: 128 },
  sha512: { digest: 64, block: 128 },
};

/** Iterations between two chances for the event loop. */
const BREATH = 10_000;

/**
 * Key derivation of PKCS#12 (RFC 7292 §B.2). Only for reading: new files use PBKDF2.
 *
 * @param password as BMPString with its two zero octets, or empty (RFC 7292 §B.1); see `bmpPassword`
 * @param iterations bounded by the caller
 * @param octets how many are wanted
 */
export async function derivePkcs12(
  digest: DigestName,
  purpose: KdfPurpose,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  octets: number,
): Promise<Buffer> {
  const { digest: u, block: v } = SIZES[digest];
  const diversifier = Buffer.alloc(v, PURPOSE[purpose]);
  const input = Buffer.concat([repeated(salt, v), repeated(password, v)]);
  const parts: Buffer[] = [];
  for (let length = 0; length < octets; length += u) {
    let a = hash(digest, Buffer.concat([diversifier, input]), 'buffer');
    for (let i = 1; i < iterations; i++) {
      a = hash(digest, a, 'buffer');
      if (i % BREATH === 0) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    parts.push(a);
    addToBlocks(input, repeated(a, v), v);
  }
  return Buffer.concat(parts, octets);
}

/** The password as RFC 7292 §B.1 has it: UTF-16 in big-endian order, ended by a zero character. */
export function bmpPassword(password: string): Buffer {
  return Buffer.from(`${password}\0`, 'utf16le').swap16();
}

/** As many whole copies as fill blocks of `v` octets, the last one cut; nothing of nothing. */
function repeated(octets: Uint8Array, v: number): Buffer {
  if (octets.length === 0) return Buffer.alloc(0);
  return Buffer.alloc(v * Math.ceil(octets.length / v), octets);
}

/** RFC 7292 §B.2 step 6C: each block becomes block + B + 1, modulo 2^(8v). */
function addToBlocks(blocks: Buffer, b: Buffer, v: number): void {
  for (let start = 0; start < blocks.length; start += v) {
    let carry = 1;
    for (let i = v - 1; i >= 0; i--) {
      const sum = (blocks[start + i] ?? 0) + (b[i] ?? 0) + carry;
      blocks[start + i] = sum & 0xff;
      carry = sum >> 8;
    }
  }
}

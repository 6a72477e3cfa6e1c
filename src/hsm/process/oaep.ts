import { hash } from 'node:crypto';
import type { DigestName } from '../../cms/keys.ts';
import { equal, isZero, lastOctets, select } from './constant-time.ts';

/**
 * EME-OAEP decoding (RFC 8017 §7.1.2 step 3) for keys that give the raw RSA result only: tokens without OAEP for
 * the digest in question, and digests that differ between label and mask.
 *
 * Danger: whoever learns *which* check failed, or how far the code came, can decrypt (Manger 2001). So there is no
 * early exit: every octet is looked at, one flag collects every fault, and the only outcome besides the message is
 * null. The caller must not answer faster or otherwise for null.
 *
 * @param encoded EM, as long as the modulus
 * @param oaepLabel L, usually empty
 * @returns the message, or null for anything that is not well-formed
 */
export function decodeOaep(
  encoded: Uint8Array,
  digest: DigestName,
  maskDigest: DigestName,
  oaepLabel: Uint8Array,
): Buffer | null {
  const labelHash = hash(digest, oaepLabel, 'buffer');
  const digestOctets = labelHash.length;
  // Public knowledge: depends on the key's size only.
  if (encoded.length < 2 * digestOctets + 2) return null;

  const seedMask = mask(encoded.subarray(1 + digestOctets), digestOctets, maskDigest);
  const seed = exclusiveOr(encoded.subarray(1, 1 + digestOctets), seedMask);
  const blockOctets = encoded.length - digestOctets - 1;
  const block = exclusiveOr(encoded.subarray(1 + digestOctets), mask(seed, blockOctets, maskDigest));

  let fault = encoded[0] ?? 1;
  for (let i = 0; i < digestOctets; i++) fault |= (block[i] ?? 0) ^ (labelHash[i] ?? 0);

  // PS is zeros, then one 0x01; `start` becomes the index after the first octet that is not zero.
  let start = block.length;
  let searching = 1;
  for (let i = digestOctets; i < block.length; i++) {
    const octet = block[i] ?? 0;
    const isOne = equal(octet, 1);
    const zero = isZero(octet);
    start = select(searching & isOne, i + 1, start);
    fault |= searching & (zero ^ 1) & (isOne ^ 1);
    searching &= zero;
  }
  fault |= searching;
  const message = lastOctets(block, block.length - start);
  block.fill(0);
  seed.fill(0);
  return fault === 0 ? message : null;
}

/** MGF1 (RFC 8017 §B.2.1). */
function mask(seed: Uint8Array, octets: number, digest: DigestName): Buffer {
  const parts: Buffer[] = [];
  const counter = Buffer.alloc(4);
  let length = 0;
  for (let i = 0; length < octets; i++) {
    counter.writeUInt32BE(i);
    const part = hash(digest, Buffer.concat([seed, counter]), 'buffer');
    parts.push(part);
    length += part.length;
  }
  return Buffer.concat(parts, octets);
}

function exclusiveOr(a: Uint8Array, b: Uint8Array): Buffer {
  const result = Buffer.alloc(a.length);
  for (let i = 0; i < a.length; i++) result[i] = (a[i] ?? 0) ^ (b[i] ?? 0);
  return result;
}

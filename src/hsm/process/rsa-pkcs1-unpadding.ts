import { createHmac } from 'node:crypto';
import { isLess, isZero, lastOctets, select } from './constant-time.ts';

/**
 * EME-PKCS1-v1_5 decoding (RFC 8017 §7.2.2 step 3) for keys that give the raw RSA result only.
 *
 * Danger: whoever learns whether the padding was right can decrypt (Bleichenbacher 1998). So there is no error at all:
 * a wrong padding gives another message, of a length and with octets that only the private key's holder could tell, and always
 * the same for the same encrypted key (implicit rejection). Both are made in any case, and one is chosen without a branch.
 *
 * @param encoded EM, as long as the modulus
 * @param encryptedKey what `encoded` was decrypted from
 * @param secret 32 octets that belong to this private key and that nobody knows
 */
export function decodePkcs1(encoded: Uint8Array, encryptedKey: Uint8Array, secret: Uint8Array): Buffer {
  const octets = encoded.length;
  let fault = (encoded[0] ?? 1) | ((encoded[1] ?? 0) ^ 2);
  // EM = 00 02 PS 00 M, PS at least eight octets that are not zero.
  let separator = 0;
  let searching = 1;
  for (let i = 2; i < octets; i++) {
    const zero = isZero(encoded[i] ?? 0);
    separator = select(searching & zero, i, separator);
    searching &= zero ^ 1;
  }
  fault |= searching | isLess(separator, LEAST_PADDING);
  const right = isZero(fault);

  const seed = mac(secret, encryptedKey);
  const substitute = expand(seed, 'message', octets);
  const length = select(right, octets - separator - 1, substituteLength(seed, octets));
  for (let i = 0; i < octets; i++) substitute[i] = select(right, encoded[i] ?? 0, substitute[i] ?? 0);
  const message = lastOctets(substitute, length);
  substitute.fill(0);
  return message;
}

/** Index of the separator at least: two octets and eight of padding. */
const LEAST_PADDING = 10;
/** So many lengths are drawn that none fits one time in 2^128 only, however long the key is. */
const DRAWS = 128;

/** The last of many lengths drawn that is possible at all; each possible one is as likely as the next. */
function substituteLength(seed: Uint8Array, octets: number): number {
  const drawn = expand(seed, 'length', 2 * DRAWS);
  const longest = octets - LEAST_PADDING - 1;
  const bits = 2 ** Math.ceil(Math.log2(longest + 1)) - 1;
  let length = 0;
  for (let i = 0; i < 2 * DRAWS; i += 2) {
    const candidate = (((drawn[i] ?? 0) << 8) | (drawn[i + 1] ?? 0)) & bits;
    length = select(isLess(candidate, longest + 1), candidate, length);
  }
  return length;
}

function expand(seed: Uint8Array, purpose: 'message' | 'length', octets: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i * 32 < octets; i++) parts.push(mac(seed, Buffer.from(`${purpose} ${i}`)));
  return Buffer.concat(parts, octets);
}

function mac(key: Uint8Array, data: Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

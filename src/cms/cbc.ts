import { createDecipheriv } from 'node:crypto';
import type { Element } from '../asn1/element.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { octetString, smallInteger } from '../asn1/values.ts';
import { type ContentDecipher, finalOrNull } from './content-cipher.ts';
import { decryptRc2Cbc } from './rc2.ts';

/** Decryption in CBC mode, which authenticates nothing: null for padding that is wrong, content otherwise. */

export function cbcDecipher(cipher: string, key: Uint8Array, iv: Buffer): ContentDecipher {
  const decipher = createDecipheriv(cipher, key, iv);
  return {
    update: (ciphertext) => decipher.update(ciphertext),
    finish: () => finalOrNull(() => decipher.final()),
  };
}

const RC2_BLOCK_OCTETS = 8;

/** RFC 2268 §6: how the effective length of a key is written, by what it means, in bits. */
const RC2_VERSIONS = new Map([
  [160, 40],
  [120, 64],
  [58, 128],
]);

export type Rc2Parameters = { effectiveBits: number; iv: Buffer };

/**
 * `RC2-CBC-Parameter ::= SEQUENCE { rc2ParameterVersion INTEGER, iv OCTET STRING }` (RFC 3370 §5.2). null: a length of
 * key that nobody used.
 *
 * @throws SealgateError `asn1.malformed`
 */
export function readRc2Parameters(element: Element): Rc2Parameters | null {
  const reader = sequenceOf(element, 'BER', 'RC2-CBC-Parameter');
  const effectiveBits = RC2_VERSIONS.get(smallInteger(reader.next('rc2ParameterVersion')));
  const iv = octetString(reader.next('iv'), 'BER');
  reader.end();
  return effectiveBits === undefined || iv.length !== RC2_BLOCK_OCTETS ? null : { effectiveBits, iv };
}

/** Decrypts at the end, all at once; the ciphertext must be a multiple of 8 octets, at least one block. */
export function rc2Decipher(key: Uint8Array, parameters: Rc2Parameters): ContentDecipher {
  const ownKey = Buffer.from(key);
  const pieces: Uint8Array[] = [];
  return {
    update(ciphertext) {
      pieces.push(Buffer.from(ciphertext));
      return Buffer.alloc(0);
    },
    finish() {
      const content = openRc2(ownKey, parameters, Buffer.concat(pieces));
      ownKey.fill(0);
      return content;
    },
  };
}

function openRc2(key: Uint8Array, parameters: Rc2Parameters, ciphertext: Buffer): Buffer | null {
  const padded = decryptRc2Cbc(key, parameters.effectiveBits, parameters.iv, ciphertext);
  const padding = padded.at(-1) ?? 0;
  let wrong = Number(padding < 1) | Number(padding > RC2_BLOCK_OCTETS);
  // Every octet that may be padding is looked at, whatever the first ones were.
  for (let i = 1; i <= RC2_BLOCK_OCTETS; i++) {
    wrong |= Number(i <= padding) & Number((padded.at(-i) ?? 0) !== padding);
  }
  if (wrong === 0) return padded.subarray(0, padded.length - padding);
  padded.fill(0);
  return null;
}

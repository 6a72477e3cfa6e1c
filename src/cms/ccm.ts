import { type CipherCCMTypes, createCipheriv, timingSafeEqual } from 'node:crypto';
import type { ContentCipher, ContentDecipher } from './content-cipher.ts';

/**
 * AES-CCM (RFC 3610) of content that comes in pieces, out of AES-CTR and AES-CBC: node:crypto wants all of it at once.
 *
 * Must never happen: a nonce of less than 7 or more than 13 octets; content of another length than announced.
 */

const BLOCK_OCTETS = 16;

export type CcmParameters = {
  cipher: CipherCCMTypes;
  nonce: Uint8Array;
  tagOctets: number;
  associated: Uint8Array;
  /** Of the content: it is authenticated in front. */
  octets: number;
};

/** Whether the length field can count as many, which the nonce leaves room for. */
export function ccmCounts(nonce: Uint8Array, octets: number): boolean {
  return octets < 2 ** (8 * (15 - nonce.length));
}

export function ccmCipher(key: Uint8Array, parameters: CcmParameters): ContentCipher {
  const { stream, mac } = begin(key, parameters);
  return {
    update(content) {
      mac.update(content);
      return stream.update(content);
    },
    finish() {
      if (mac.octets !== parameters.octets) throw new Error('content of another length than announced');
      return { rest: Buffer.alloc(0), mac: mac.finish() };
    },
  };
}

export function ccmDecipher(key: Uint8Array, parameters: CcmParameters, tag: Uint8Array): ContentDecipher {
  const { stream, mac } = begin(key, parameters);
  return {
    update(ciphertext) {
      const content = stream.update(ciphertext);
      mac.update(content);
      return content;
    },
    finish() {
      if (mac.octets !== parameters.octets) return null;
      return timingSafeEqual(mac.finish(), tag) ? Buffer.alloc(0) : null;
    },
  };
}

function begin(key: Uint8Array, parameters: CcmParameters) {
  const { cipher, nonce } = parameters;
  // RFC 3610 §2.3: the first block of the key stream hides the tag, the following ones the content.
  const counter = Buffer.alloc(BLOCK_OCTETS);
  counter[0] = 14 - nonce.length;
  counter.set(nonce, 1);
  const stream = createCipheriv(cipher.replace('ccm', 'ctr'), key, counter);
  const mask = stream.update(Buffer.alloc(BLOCK_OCTETS));
  return { stream, mac: new CcmMac(key, parameters, mask) };
}

/** RFC 3610 §2.2: CBC-MAC over the first block, the associated data and the content. */
class CcmMac {
  readonly #cbc: ReturnType<typeof createCipheriv>;
  readonly #mask: Buffer;
  readonly #tagOctets: number;
  #last: Buffer = Buffer.alloc(BLOCK_OCTETS);
  /** Of the content, so far. */
  octets = 0;

  constructor(
    key: Uint8Array,
    { cipher, nonce, tagOctets, associated, octets }: CcmParameters,
    mask: Buffer,
  ) {
    this.#mask = mask;
    this.#tagOctets = tagOctets;
    this.#cbc = createCipheriv(cipher.replace('ccm', 'cbc'), key, Buffer.alloc(BLOCK_OCTETS));
    this.#cbc.setAutoPadding(false);
    const first = Buffer.alloc(BLOCK_OCTETS);
    first[0] = (associated.length > 0 ? 0x40 : 0) | (((tagOctets - 2) / 2) << 3) | (14 - nonce.length);
    first.set(nonce, 1);
    first.writeUIntBE(octets, 10, 6);
    // The nonce reaches into these octets where the length field is shorter than six.
    first.set(nonce.subarray(9), 10);
    this.#feed(first);
    if (associated.length > 0) {
      const length = lengthOf(associated);
      this.#feed(length);
      this.#feed(associated);
      this.#pad(length.length + associated.length);
    }
  }

  update(content: Uint8Array): void {
    this.octets += content.length;
    this.#feed(content);
  }

  finish(): Buffer {
    this.#pad(this.octets);
    const tag = Buffer.alloc(this.#tagOctets);
    for (let i = 0; i < tag.length; i++) tag[i] = (this.#last[i] ?? 0) ^ (this.#mask[i] ?? 0);
    return tag;
  }

  #feed(octets: Uint8Array): void {
    const chained = this.#cbc.update(octets);
    if (chained.length > 0) this.#last = chained.subarray(-BLOCK_OCTETS);
  }

  #pad(octets: number): void {
    this.#feed(Buffer.alloc((BLOCK_OCTETS - (octets % BLOCK_OCTETS)) % BLOCK_OCTETS));
  }
}

/** RFC 3610 §2.2. */
function lengthOf(associated: Uint8Array): Buffer {
  if (associated.length < 0xff00) return Buffer.from([associated.length >> 8, associated.length & 0xff]);
  const length = Buffer.from([0xff, 0xfe, 0, 0, 0, 0]);
  length.writeUInt32BE(associated.length, 2);
  return length;
}

/**
 * RC2 decryption in CBC mode (RFC 2268), for reading old PKCS#12 files and mails of the last century: node:crypto does
 * not have it. It is weak, and nothing is ever encrypted with it.
 */

/** RFC 2268 §2: PITABLE. */
const PITABLE = Buffer.from(
  'd978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2' +
    '179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82' +
    '54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626' +
    '6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7' +
    '08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec' +
    'c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731' +
    '2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9' +
    '0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad',
  'hex',
);

const BLOCK_OCTETS = 8;

/**
 * Decrypts without looking at the padding.
 *
 * @param key 1 to 128 octets
 * @param effectiveBits 1 to 1024 (RFC 2268 §2, T1)
 * @param iv 8 octets
 * @param encrypted a multiple of 8 octets
 */
export function decryptRc2Cbc(
  key: Uint8Array,
  effectiveBits: number,
  iv: Uint8Array,
  encrypted: Uint8Array,
): Buffer {
  const round = expandKey(key, effectiveBits);
  const result = Buffer.alloc(encrypted.length);
  const words = new Uint16Array(4);
  for (let at = 0; at + BLOCK_OCTETS <= encrypted.length; at += BLOCK_OCTETS) {
    for (let i = 0; i < 4; i++) {
      words[i] = (encrypted[at + 2 * i] ?? 0) | ((encrypted[at + 2 * i + 1] ?? 0) << 8);
    }
    decryptBlock(round, words);
    for (let i = 0; i < BLOCK_OCTETS; i++) {
      const plain = (words[i >> 1] ?? 0) >> (8 * (i & 1));
      result[at + i] = plain ^ ((at === 0 ? iv[i] : encrypted[at + i - BLOCK_OCTETS]) ?? 0);
    }
  }
  return result;
}

/** RFC 2268 §2: 64 words of 16 bits. */
function expandKey(key: Uint8Array, effectiveBits: number): Uint16Array {
  const octets = Buffer.alloc(128);
  octets.set(key);
  const length = key.length;
  const effectiveOctets = Math.ceil(effectiveBits / 8);
  const mask = 0xff >> (8 * effectiveOctets - effectiveBits);
  const at = (index: number): number => octets[index] ?? 0;
  const pi = (index: number): number => PITABLE[index & 0xff] ?? 0;
  for (let i = length; i < 128; i++) octets[i] = pi(at(i - 1) + at(i - length));
  octets[128 - effectiveOctets] = pi(at(128 - effectiveOctets) & mask);
  for (let i = 127 - effectiveOctets; i >= 0; i--) octets[i] = pi(at(i + 1) ^ at(i + effectiveOctets));
  const words = new Uint16Array(64);
  for (let i = 0; i < 64; i++) words[i] = octets.readUInt16LE(2 * i);
  return words;
}

/** Rotations of the four words in a mixing round (RFC 2268 §3.1). */
const ROTATION = [1, 2, 3, 5] as const;

/** RFC 2268 §4, in place: five reverse mixing rounds, one of reverse mashing, six, one, five. */
function decryptBlock(key: Uint16Array, words: Uint16Array): void {
  let next = 63;
  for (let round = 15; round >= 0; round--) {
    for (let i = 3; i >= 0; i--) {
      const by = ROTATION[i as 0 | 1 | 2 | 3];
      const word = words[i] ?? 0;
      const turned = (word >> by) | (word << (16 - by));
      const before = words[(i + 3) & 3] ?? 0;
      const chosen = (before & (words[(i + 2) & 3] ?? 0)) + (~before & (words[(i + 1) & 3] ?? 0));
      words[i] = turned - (key[next] ?? 0) - chosen;
      next--;
    }
    if (round !== 11 && round !== 5) continue;
    for (let i = 3; i >= 0; i--) words[i] = (words[i] ?? 0) - (key[(words[(i + 3) & 3] ?? 0) & 63] ?? 0);
  }
}

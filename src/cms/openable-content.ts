import { octetString } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { type AeadCipher, aeadDecipher, isSealable, readAeadParameters } from './aead.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { cbcDecipher, rc2Decipher, readRc2Parameters } from './cbc.ts';
import type { ContentDecipher } from './content-cipher.ts';
import { rc2Cbc, rowByOid } from './content-encryption.ts';
import { algorithmOfDerivedKey, deriveContentKey, derOf } from './derived-content-key.ts';

/** Encrypted content with its parameters, ready for a key of `keyOctets`. */
export type OpenableContent = {
  keyOctets: number;
  /** So many octets of the ciphertext are decrypted; a tag may follow. */
  ciphertextOctets: number;
  /**
   * Begins to decrypt, in each way that may be meant: the first one that finds the content good is right. There is more
   * than one only where authAttrs may have been authenticated in several encodings.
   */
  ways: readonly ((key: Uint8Array) => ContentDecipher)[];
};

/** What of a ciphertext says whether and how it can be opened. `end`: its last `MOST_TAG_OCTETS` or all of it. */
export type CiphertextShape = { octets: number; end: Buffer };

export const MOST_TAG_OCTETS = 16;

/**
 * Makes encrypted content ready for a key.
 *
 * @param mac of an AuthEnvelopedData; null for an EnvelopedData, where GCM carries its tag at the end of the content
 * @param associated the encodings of authAttrs that may have been authenticated; one empty one without authAttrs
 * @returns null: an algorithm or parameters that are not supported
 * @throws SealgateError `asn1.malformed`
 */
export function openableContent(
  algorithm: AlgorithmIdentifier,
  ciphertext: CiphertextShape,
  mac: Buffer | null,
  associated: readonly Buffer[],
): OpenableContent | null {
  const inner = algorithmOfDerivedKey(algorithm);
  if (inner !== null) {
    const openable = openableContent(inner, ciphertext, mac, associated);
    return openable === null ? null : openableWithDerivedKey(openable, derOf(inner));
  }
  const { oid, parameters } = algorithm;
  const { octets } = ciphertext;
  if (parameters === null) return null;
  const row = rowByOid(oid);
  if (row !== undefined && row.mode !== 'cbc') {
    return openableAead(row, algorithm, ciphertext, mac, associated);
  }
  // An unauthenticated algorithm in AuthEnvelopedData is somebody's attempt to pass it off as an authenticated one.
  if (mac !== null) return null;
  if (oid === rc2Cbc) {
    const rc2 = readRc2Parameters(parameters);
    if (rc2 === null || !isWholeBlocks(octets, 8) || octets > limits.cms.rc2Octets) return null;
    const ways = [(key: Uint8Array) => rc2Decipher(key, rc2)];
    return { keyOctets: rc2.effectiveBits / 8, ciphertextOctets: octets, ways };
  }
  if (row === undefined) return null;
  const iv = octetString(parameters, 'BER');
  if (iv.length !== row.blockOctets || !isWholeBlocks(octets, row.blockOctets)) return null;
  const ways = [(key: Uint8Array) => cbcDecipher(row.cipher, key, iv)];
  return { keyOctets: row.keyOctets, ciphertextOctets: octets, ways };
}

function openableWithDerivedKey(openable: OpenableContent, algorithm: Buffer): OpenableContent {
  return {
    ...openable,
    ways: openable.ways.map((begin) => (key: Uint8Array) => {
      const contentKey = deriveContentKey(key, algorithm);
      const decipher = begin(contentKey);
      contentKey.fill(0);
      return decipher;
    }),
  };
}

function openableAead(
  row: AeadCipher & { keyOctets: number },
  algorithm: AlgorithmIdentifier,
  ciphertext: CiphertextShape,
  mac: Buffer | null,
  associated: readonly Buffer[],
): OpenableContent | null {
  const parameters = algorithm.parameters === null ? null : readAeadParameters(row, algorithm.parameters);
  if (parameters === null) return null;
  let tag = mac;
  let { octets } = ciphertext;
  if (tag === null) {
    // Senders put GCM into EnvelopedData; of the others RFC 5084 §1 and RFC 8103 §1 are obeyed.
    octets -= parameters.tagOctets;
    if (row.mode !== 'gcm' || octets < 0) return null;
    tag = ciphertext.end.subarray(-parameters.tagOctets);
  }
  const ways: OpenableContent['ways'][number][] = [];
  for (const covered of associated) {
    const sealed = { octets, tag, associated: covered };
    if (!isSealable(row, parameters, sealed)) return null;
    ways.push((key) => aeadDecipher(row, key, parameters, sealed));
  }
  return { keyOctets: row.keyOctets, ciphertextOctets: octets, ways };
}

function isWholeBlocks(octets: number, blockOctets: number): boolean {
  return octets > 0 && octets % blockOctets === 0;
}

/**
 * Decrypts content that is all there.
 *
 * @returns null: wrong key or damaged, which nobody can tell apart
 */
export function openContent(openable: OpenableContent, ciphertext: Buffer, key: Uint8Array): Buffer | null {
  const body = ciphertext.subarray(0, openable.ciphertextOctets);
  for (const begin of openable.ways) {
    const decipher = begin(key);
    const content = decipher.update(body);
    const rest = decipher.finish();
    if (rest === null) content.fill(0);
    else if (rest.length === 0) return content;
    else return Buffer.concat([content, rest]);
  }
  return null;
}

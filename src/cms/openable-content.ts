import { octetString } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { type AeadCipher, readAeadParameters, unseal } from './aead.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { openCbc, openRc2, readRc2Parameters } from './cbc.ts';
import { rc2Cbc, rowByOid } from './content-encryption.ts';
import { algorithmOfDerivedKey, deriveContentKey, derOf } from './derived-content-key.ts';

/** Encrypted content with its parameters, ready for a key of `keyOctets`. */
export type OpenableContent = {
  keyOctets: number;
  /** The content, or null: wrong key or damaged, which nobody can tell apart. */
  open(key: Uint8Array): Buffer | null;
};

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
  ciphertext: Buffer,
  mac: Buffer | null,
  associated: readonly Buffer[],
): OpenableContent | null {
  const inner = algorithmOfDerivedKey(algorithm);
  if (inner !== null) {
    const openable = openableContent(inner, ciphertext, mac, associated);
    return openable === null ? null : openableWithDerivedKey(openable, derOf(inner));
  }
  const { oid, parameters } = algorithm;
  if (parameters === null) return null;
  const row = rowByOid(oid);
  if (row !== undefined && row.mode !== 'cbc') {
    return openableAead(row, algorithm, ciphertext, mac, associated);
  }
  // An unauthenticated algorithm in AuthEnvelopedData is somebody's attempt to pass it off as an authenticated one.
  if (mac !== null) return null;
  if (oid === rc2Cbc) {
    const rc2 = readRc2Parameters(parameters);
    if (rc2 === null || !isWholeBlocks(ciphertext, 8) || ciphertext.length > limits.cms.rc2Octets)
      return null;
    return { keyOctets: rc2.effectiveBits / 8, open: (key) => openRc2(key, rc2, ciphertext) };
  }
  if (row === undefined) return null;
  const iv = octetString(parameters, 'BER');
  if (iv.length !== row.blockOctets || !isWholeBlocks(ciphertext, row.blockOctets)) return null;
  return { keyOctets: row.keyOctets, open: (key) => openCbc(row.cipher, key, iv, ciphertext) };
}

function openableWithDerivedKey(openable: OpenableContent, algorithm: Buffer): OpenableContent {
  return {
    keyOctets: openable.keyOctets,
    open: (key) => {
      const contentKey = deriveContentKey(key, algorithm);
      const content = openable.open(contentKey);
      contentKey.fill(0);
      return content;
    },
  };
}

function openableAead(
  row: AeadCipher & { keyOctets: number },
  algorithm: AlgorithmIdentifier,
  ciphertext: Buffer,
  mac: Buffer | null,
  associated: readonly Buffer[],
): OpenableContent | null {
  const parameters = algorithm.parameters === null ? null : readAeadParameters(row, algorithm.parameters);
  if (parameters === null) return null;
  let tag = mac;
  let body = ciphertext;
  if (tag === null) {
    // Senders put GCM into EnvelopedData; of the others RFC 5084 §1 and RFC 8103 §1 are obeyed.
    const end = ciphertext.length - parameters.tagOctets;
    if (row.mode !== 'gcm' || end < 0) return null;
    body = ciphertext.subarray(0, end);
    tag = ciphertext.subarray(end);
  }
  if (tag.length !== parameters.tagOctets) return null;
  const sealed = { ciphertext: body, tag };
  return {
    keyOctets: row.keyOctets,
    open: (key) => {
      for (const covered of associated) {
        const opened = unseal(row, key, parameters, sealed, covered);
        if (opened !== null) return opened;
      }
      return null;
    },
  };
}

function isWholeBlocks(ciphertext: Buffer, blockOctets: number): boolean {
  return ciphertext.length > 0 && ciphertext.length % blockOctets === 0;
}

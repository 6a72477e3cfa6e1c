import { createCipheriv } from 'node:crypto';
import * as der from '../asn1/writer.ts';
import { type AeadCipher, aeadCipher, newAeadParameters, TAG_OCTETS } from './aead.ts';
import { type AlgorithmIdentifier, algorithmIdentifier } from './algorithm-identifier.ts';
import type { ContentCipher } from './content-cipher.ts';
import { algorithmOfDerivedKey, deriveContentKey, derivedKeyAlgorithm } from './derived-content-key.ts';
import { freshOctets } from './fresh-octets.ts';
import { isUnreadable } from './malformed.ts';

/** What new messages are encrypted with. */
export const contentEncryptionNames = [
  'aes256-gcm',
  'aes192-gcm',
  'aes128-gcm',
  'chacha20-poly1305',
  'aes256-ccm',
  'aes192-ccm',
  'aes128-ccm',
  'aes256-cbc',
  'aes192-cbc',
  'aes128-cbc',
] as const;
export type ContentEncryptionName = (typeof contentEncryptionNames)[number];

type Cbc = { mode: 'cbc'; cipher: string; blockOctets: number };
export type CbcCipher = { cipher: string; keyOctets: number; blockOctets: number };
type Row = {
  name: ContentEncryptionName | 'des-ede3-cbc';
  oid: string;
  keyOctets: number;
} & (Cbc | AeadCipher);

const aes = '2.16.840.1.101.3.4.1.';

/** One row a content-encryption algorithm (RFC 3565 §2, RFC 5084 §3, RFC 8103 §3, RFC 3370 §5.1). */
const TABLE: readonly Row[] = [
  { name: 'aes256-gcm', oid: `${aes}46`, keyOctets: 32, mode: 'gcm', cipher: 'aes-256-gcm' },
  { name: 'aes192-gcm', oid: `${aes}26`, keyOctets: 24, mode: 'gcm', cipher: 'aes-192-gcm' },
  { name: 'aes128-gcm', oid: `${aes}6`, keyOctets: 16, mode: 'gcm', cipher: 'aes-128-gcm' },
  {
    name: 'chacha20-poly1305',
    oid: '1.2.840.113549.1.9.16.3.18',
    keyOctets: 32,
    mode: 'chacha20-poly1305',
  },
  { name: 'aes256-ccm', oid: `${aes}47`, keyOctets: 32, mode: 'ccm', cipher: 'aes-256-ccm' },
  { name: 'aes192-ccm', oid: `${aes}27`, keyOctets: 24, mode: 'ccm', cipher: 'aes-192-ccm' },
  { name: 'aes128-ccm', oid: `${aes}7`, keyOctets: 16, mode: 'ccm', cipher: 'aes-128-ccm' },
  {
    name: 'aes256-cbc',
    oid: `${aes}42`,
    keyOctets: 32,
    mode: 'cbc',
    cipher: 'aes-256-cbc',
    blockOctets: 16,
  },
  {
    name: 'aes192-cbc',
    oid: `${aes}22`,
    keyOctets: 24,
    mode: 'cbc',
    cipher: 'aes-192-cbc',
    blockOctets: 16,
  },
  { name: 'aes128-cbc', oid: `${aes}2`, keyOctets: 16, mode: 'cbc', cipher: 'aes-128-cbc', blockOctets: 16 },
  {
    name: 'des-ede3-cbc',
    oid: '1.2.840.113549.3.7',
    keyOctets: 24,
    mode: 'cbc',
    cipher: 'des-ede3-cbc',
    blockOctets: 8,
  },
];

/** Only read. Its parameters say how long the key is (RFC 3370 §5.2). */
export const rc2Cbc = '1.2.840.113549.3.2';

/** Known and not computed here: named in reports. */
const NAMED = new Map([
  [rc2Cbc, 'rc2-cbc'],
  ['1.3.14.3.2.7', 'des-cbc'],
  ['1.2.840.113549.3.4', 'rc4'],
]);

/** What a reader of this message says of its algorithm, whether or not it can open it. */
export type ContentAlgorithm = { name: string; authenticated: boolean };

export function describeContentEncryption(outer: AlgorithmIdentifier): ContentAlgorithm {
  const algorithm = innerOrNull(outer) ?? outer;
  const row = rowByOid(algorithm.oid);
  if (row === undefined) return { name: NAMED.get(algorithm.oid) ?? algorithm.oid, authenticated: false };
  return { name: row.name, authenticated: row.mode !== 'cbc' };
}

function innerOrNull(algorithm: AlgorithmIdentifier): AlgorithmIdentifier | null {
  try {
    return algorithmOfDerivedKey(algorithm);
  } catch (error) {
    // A description has no outcome of its own: the message fails where it is opened.
    if (isUnreadable(error)) return null;
    throw error;
  }
}

/** Object identifier for sMIMECapabilities (RFC 8551 §2.5.2). */
export function contentEncryptionOid(name: ContentEncryptionName): string {
  return rowOf(name).oid;
}

/** The usual name of an identifier of sMIMECapabilities; null: not a content encryption that we write. */
export function contentEncryptionByOid(oid: string): ContentEncryptionName | null {
  const name = rowByOid(oid)?.name;
  return contentEncryptionNames.find((written) => written === name) ?? null;
}

/** A block cipher in CBC mode that serves another algorithm as its part; null: unknown. */
export function cbcByOid(oid: string): CbcCipher | null {
  const row = rowByOid(oid);
  return row?.mode === 'cbc' ? row : null;
}

/** Whether messages under it are AuthEnvelopedData. */
export function authenticates(name: ContentEncryptionName): boolean {
  return rowOf(name).mode !== 'cbc';
}

/** An encryption that has begun, under a fresh key and a fresh nonce: a nonce can never meet a key again. */
export type ContentEncryption = {
  /** Encoded. */
  algorithm: Buffer;
  /** For the recipients. */
  key: Buffer;
  ciphertextOctets: number;
  /** 0: the algorithm does not authenticate. */
  macOctets: number;
  cipher: ContentCipher;
};

/**
 * @param octets of the content
 * @param bound whether the key is bound to the algorithm (RFC 9709)
 */
export function beginEncryption(
  name: ContentEncryptionName,
  octets: number,
  bound = false,
): ContentEncryption {
  const row = rowOf(name);
  const key = freshOctets(row.keyOctets);
  const start = newParameters(row);
  const algorithm = algorithmIdentifier(row.oid, start.encoded);
  const contentKey = bound ? deriveContentKey(key, algorithm) : key;
  const cipher = cipherOf(row, contentKey, start.nonce, octets);
  if (bound) contentKey.fill(0);
  return {
    algorithm: bound ? derivedKeyAlgorithm(algorithm) : algorithm,
    key,
    ciphertextOctets:
      row.mode === 'cbc' ? (Math.floor(octets / row.blockOctets) + 1) * row.blockOctets : octets,
    macOctets: row.mode === 'cbc' ? 0 : TAG_OCTETS,
    cipher,
  };
}

/** A fresh nonce or initialisation vector, and the parameters that say so. */
function newParameters(row: Row): { nonce: Buffer; encoded: Buffer } {
  if (row.mode !== 'cbc') return newAeadParameters(row);
  const nonce = freshOctets(row.blockOctets);
  return { nonce, encoded: der.octetString(nonce) };
}

function cipherOf(row: Row, key: Buffer, nonce: Buffer, octets: number): ContentCipher {
  if (row.mode !== 'cbc') return aeadCipher(row, key, nonce, octets);
  const cipher = createCipheriv(row.cipher, key, nonce);
  return {
    update: (content) => cipher.update(content),
    finish: () => ({ rest: cipher.final(), mac: null }),
  };
}

/** The row of what a message names; undefined: unknown, or only read. */
export function rowByOid(oid: string): Row | undefined {
  return TABLE.find((row) => row.oid === oid);
}

function rowOf(name: ContentEncryptionName): Row {
  const row = TABLE.find((candidate) => candidate.name === name);
  if (row === undefined) throw new Error(`no content-encryption row for ${name}`);
  return row;
}

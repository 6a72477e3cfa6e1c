import { createCipheriv, randomBytes } from 'node:crypto';
import { octetString } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import { limits } from '../limits.ts';
import { type AeadCipher, readAeadParameters, seal, unseal } from './aead.ts';
import { type AlgorithmIdentifier, algorithmIdentifier } from './algorithm-identifier.ts';
import { openCbc, openRc2, readRc2Parameters } from './cbc.ts';

/** What new messages are encrypted with. */
const WRITTEN = [
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
export type ContentEncryptionName = (typeof WRITTEN)[number];

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
const rc2Cbc = '1.2.840.113549.3.2';

/** Known and not computed here: named in reports. */
const NAMED = new Map([
  [rc2Cbc, 'rc2-cbc'],
  ['1.3.14.3.2.7', 'des-cbc'],
  ['1.2.840.113549.3.4', 'rc4'],
]);

/** Encrypted content with its parameters, ready for a key of `keyOctets`. */
export type OpenableContent = {
  keyOctets: number;
  /** The content, or null: wrong key or damaged, which nobody can tell apart. */
  open(key: Uint8Array): Buffer | null;
};

/** What a reader of this message says of its algorithm, whether or not it can open it. */
export type ContentAlgorithm = { name: string; authenticated: boolean };

export function describeContentEncryption(algorithm: AlgorithmIdentifier): ContentAlgorithm {
  const row = TABLE.find((candidate) => candidate.oid === algorithm.oid);
  if (row === undefined) return { name: NAMED.get(algorithm.oid) ?? algorithm.oid, authenticated: false };
  return { name: row.name, authenticated: row.mode !== 'cbc' };
}

/** Object identifier for sMIMECapabilities (RFC 8551 §2.5.2). */
export function contentEncryptionOid(name: ContentEncryptionName): string {
  return rowOf(name).oid;
}

/** The usual name of an identifier of sMIMECapabilities; null: not a content encryption that we write. */
export function contentEncryptionByOid(oid: string): ContentEncryptionName | null {
  const name = TABLE.find((row) => row.oid === oid)?.name;
  return WRITTEN.find((written) => written === name) ?? null;
}

/** A block cipher in CBC mode that serves another algorithm as its part; null: unknown. */
export function cbcByOid(oid: string): CbcCipher | null {
  const row = TABLE.find((candidate) => candidate.oid === oid);
  return row?.mode === 'cbc' ? row : null;
}

/** Whether messages under it are AuthEnvelopedData. */
export function authenticates(name: ContentEncryptionName): boolean {
  return rowOf(name).mode !== 'cbc';
}

export type EncryptedContent = {
  algorithm: Buffer;
  key: Buffer;
  ciphertext: Buffer;
  /** null: the algorithm does not authenticate. */
  mac: Buffer | null;
};

/** Encrypts under a fresh key and a fresh nonce, so a nonce can never meet a key again. */
export function encryptContent(name: ContentEncryptionName, content: Uint8Array): EncryptedContent {
  const row = rowOf(name);
  const key = randomBytes(row.keyOctets);
  if (row.mode !== 'cbc') {
    const { parameters, ciphertext, tag } = seal(row, key, content);
    return { algorithm: algorithmIdentifier(row.oid, parameters), key, ciphertext, mac: tag };
  }
  const iv = randomBytes(row.blockOctets);
  const cipher = createCipheriv(row.cipher, key, iv);
  const ciphertext = Buffer.concat([cipher.update(content), cipher.final()]);
  return { algorithm: algorithmIdentifier(row.oid, der.octetString(iv)), key, ciphertext, mac: null };
}

/**
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
  const { oid, parameters } = algorithm;
  if (parameters === null) return null;
  const row = TABLE.find((candidate) => candidate.oid === oid);
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

function rowOf(name: ContentEncryptionName): Row {
  const row = TABLE.find((candidate) => candidate.name === name);
  if (row === undefined) throw new Error(`no content-encryption row for ${name}`);
  return row;
}

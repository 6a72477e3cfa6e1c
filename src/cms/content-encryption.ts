import { type CipherGCMTypes, createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { octetString, smallInteger } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import { type AlgorithmIdentifier, algorithmIdentifier } from './algorithm-identifier.ts';

/** What new messages are encrypted with. */
export type ContentEncryptionName = 'aes128-cbc' | 'aes256-cbc' | 'aes128-gcm' | 'aes256-gcm';

/** One row a content-encryption algorithm (RFC 3565 §2, RFC 5084 §3.2, RFC 3370 §5.1). */
type Row = {
  name: ContentEncryptionName | 'aes192-cbc' | 'aes192-gcm' | 'des-ede3-cbc';
  oid: string;
  keyOctets: number;
} & ({ mode: 'cbc'; cipher: string; blockOctets: number } | { mode: 'gcm'; cipher: CipherGCMTypes });

const TABLE: readonly Row[] = [
  { name: 'aes256-gcm', oid: '2.16.840.1.101.3.4.1.46', keyOctets: 32, mode: 'gcm', cipher: 'aes-256-gcm' },
  { name: 'aes192-gcm', oid: '2.16.840.1.101.3.4.1.26', keyOctets: 24, mode: 'gcm', cipher: 'aes-192-gcm' },
  { name: 'aes128-gcm', oid: '2.16.840.1.101.3.4.1.6', keyOctets: 16, mode: 'gcm', cipher: 'aes-128-gcm' },
  {
    name: 'aes256-cbc',
    oid: '2.16.840.1.101.3.4.1.42',
    keyOctets: 32,
    mode: 'cbc',
    cipher: 'aes-256-cbc',
    blockOctets: 16,
  },
  {
    name: 'aes192-cbc',
    oid: '2.16.840.1.101.3.4.1.22',
    keyOctets: 24,
    mode: 'cbc',
    cipher: 'aes-192-cbc',
    blockOctets: 16,
  },
  {
    name: 'aes128-cbc',
    oid: '2.16.840.1.101.3.4.1.2',
    keyOctets: 16,
    mode: 'cbc',
    cipher: 'aes-128-cbc',
    blockOctets: 16,
  },
  {
    name: 'des-ede3-cbc',
    oid: '1.2.840.113549.3.7',
    keyOctets: 24,
    mode: 'cbc',
    cipher: 'des-ede3-cbc',
    blockOctets: 8,
  },
];

/** Known and refused: named in reports, never computed. */
const REFUSED = new Map([
  ['1.2.840.113549.3.2', 'rc2-cbc'],
  ['1.3.14.3.2.7', 'des-cbc'],
  ['1.2.840.113549.3.4', 'rc4'],
]);

const TAG_OCTETS = 16;
const NONCE_OCTETS = 12;

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
  if (row === undefined) return { name: REFUSED.get(algorithm.oid) ?? algorithm.oid, authenticated: false };
  return { name: row.name, authenticated: row.mode === 'gcm' };
}

/** Object identifier for sMIMECapabilities (RFC 8551 §2.5.2). */
export function contentEncryptionOid(name: ContentEncryptionName): string {
  return rowOf(name).oid;
}

/** The usual name of an identifier of sMIMECapabilities; null: not a content encryption that we write. */
export function contentEncryptionByOid(oid: string): ContentEncryptionName | null {
  switch (oid) {
    case rowOf('aes256-gcm').oid:
      return 'aes256-gcm';
    case rowOf('aes128-gcm').oid:
      return 'aes128-gcm';
    case rowOf('aes256-cbc').oid:
      return 'aes256-cbc';
    case rowOf('aes128-cbc').oid:
      return 'aes128-cbc';
    default:
      return null;
  }
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
  if (row.mode === 'gcm') {
    const nonce = randomBytes(NONCE_OCTETS);
    const cipher = createCipheriv(row.cipher, key, nonce, { authTagLength: TAG_OCTETS });
    const ciphertext = Buffer.concat([cipher.update(content), cipher.final()]);
    // GCMParameters ::= SEQUENCE { aes-nonce OCTET STRING, aes-ICVlen INTEGER DEFAULT 12 } (RFC 5084 §3.2)
    const parameters = der.sequence(der.octetString(nonce), der.integer(TAG_OCTETS));
    return { algorithm: algorithmIdentifier(row.oid, parameters), key, ciphertext, mac: cipher.getAuthTag() };
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
  const row = TABLE.find((candidate) => candidate.oid === algorithm.oid);
  if (row === undefined || algorithm.parameters === null) return null;
  if (row.mode === 'cbc') {
    // An unauthenticated algorithm in AuthEnvelopedData is somebody's attempt to pass it off as an authenticated one.
    if (mac !== null) return null;
    const iv = octetString(algorithm.parameters, 'BER');
    if (iv.length !== row.blockOctets) return null;
    if (ciphertext.length === 0 || ciphertext.length % row.blockOctets !== 0) return null;
    return { keyOctets: row.keyOctets, open: (key) => openCbc(row.cipher, key, iv, ciphertext) };
  }
  const reader = sequenceOf(algorithm.parameters, 'BER', 'GCMParameters');
  const nonce = octetString(reader.next('aes-nonce'), 'BER');
  const tagOctets = reader.atEnd ? 12 : smallInteger(reader.next('aes-ICVlen'));
  reader.end();
  // RFC 5084 §3.2: 12 to 16 octets of tag. A shorter one is a forger's, so the parameter alone decides nothing.
  if (tagOctets < 12 || tagOctets > 16 || nonce.length < 8 || nonce.length > 64) return null;
  let tag = mac;
  let body = ciphertext;
  if (tag === null) {
    if (ciphertext.length < tagOctets) return null;
    body = ciphertext.subarray(0, ciphertext.length - tagOctets);
    tag = ciphertext.subarray(ciphertext.length - tagOctets);
  }
  if (tag.length !== tagOctets) return null;
  const authenticationTag = tag;
  return {
    keyOctets: row.keyOctets,
    open: (key) => {
      for (const aad of associated) {
        const opened = openGcm(row.cipher, key, nonce, body, authenticationTag, aad);
        if (opened !== null) return opened;
      }
      return null;
    },
  };
}

function openCbc(cipher: string, key: Uint8Array, iv: Buffer, ciphertext: Buffer): Buffer | null {
  const decipher = createDecipheriv(cipher, key, iv);
  const head = decipher.update(ciphertext);
  try {
    return Buffer.concat([head, decipher.final()]);
  } catch {
    // One answer for every reason; what the reason was is told to nobody (RFC 3218 §2.3).
    head.fill(0);
    return null;
  }
}

/** Nothing of the content is given out before the tag has been checked. */
function openGcm(
  cipher: CipherGCMTypes,
  key: Uint8Array,
  nonce: Buffer,
  ciphertext: Buffer,
  tag: Buffer,
  associated: Buffer,
): Buffer | null {
  const decipher = createDecipheriv(cipher, key, nonce, { authTagLength: tag.length });
  decipher.setAuthTag(tag);
  if (associated.length > 0) decipher.setAAD(associated);
  const head = decipher.update(ciphertext);
  try {
    decipher.final();
    return head;
  } catch {
    // One answer for every reason; what the reason was is told to nobody (RFC 3218 §2.3).
    head.fill(0);
    return null;
  }
}

function rowOf(name: ContentEncryptionName): Row {
  const row = TABLE.find((candidate) => candidate.name === name);
  if (row === undefined) throw new Error(`no content-encryption row for ${name}`);
  return row;
}

import { createDecipheriv, pbkdf2, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { type Element, isUniversal, universal } from '../../asn1/element.ts';
import { type SequenceReader, sequenceOf } from '../../asn1/sequence-reader.ts';
import { objectIdentifier, octetString, smallInteger } from '../../asn1/values.ts';
import type { DigestName } from '../../cms/keys.ts';
import { decryptRc2Cbc } from '../../cms/rc2.ts';
import { malformedKeyFile, passphraseIncorrect, unsupportedKeyFile } from './key-file-error.ts';
import { bmpPassword, derivePkcs12 } from './pkcs12-kdf.ts';

/**
 * Password-based decryption of key files: PBES2 (RFC 8018 §6.2) and the schemes of PKCS#12 (RFC 7292 §C).
 *
 * What a file may make us compute is bounded: its iteration counts are a stranger's numbers as long as the password
 * has not been proven.
 */

/** Longest password, in UTF-16 units. */
export const LONGEST_PASSWORD = 1024;
/** OpenSSL writes 2,048, Windows 2,000, careful people a million. */
export const MOST_ITERATIONS = 2_000_000;
/** All derivations of one file together. */
export const MOST_ITERATIONS_OF_A_FILE = 4 * MOST_ITERATIONS;
const LONGEST_SALT = 1024;
/** scrypt: 128 * N * r octets of memory. */
const MOST_SCRYPT_OCTETS = 256 * 1024 * 1024;

/** A password, and how much computing the files' iteration counts may still ask for. Disposing of it clears its octets. */
export class PasswordReader implements Disposable {
  readonly password: string;
  /** As the schemes of PKCS#12 take it. */
  bmp: Buffer;
  #left = MOST_ITERATIONS_OF_A_FILE;

  /** @throws SealgateError `key.passphrase-incorrect` for one that cannot be right */
  constructor(password: string) {
    if (password.length > LONGEST_PASSWORD || !password.isWellFormed()) throw passphraseIncorrect();
    this.password = password;
    this.bmp = bmpPassword(password);
  }

  /** @throws SealgateError `key.file-unsupported` where the count is out of bounds */
  iterations(element: Element): number {
    const count = smallInteger(element);
    if (count < 1 || count > MOST_ITERATIONS || count > this.#left) {
      throw unsupportedKeyFile(`an iteration count of ${count}`);
    }
    this.#left -= count;
    return count;
  }

  [Symbol.dispose](): void {
    this.bmp.fill(0);
  }
}

/**
 * @param algorithm AlgorithmIdentifier as read
 * @throws SealgateError `key.passphrase-incorrect`, `key.file-unsupported`, `key.file-malformed`, `asn1.malformed`
 */
export async function decryptPbe(
  algorithm: Element,
  encrypted: Buffer,
  password: PasswordReader,
): Promise<Buffer> {
  const identifier = sequenceOf(algorithm, 'BER', 'AlgorithmIdentifier');
  const oid = objectIdentifier(identifier.next('algorithm'));
  const parameters = identifier.sequence('parameters');
  if (oid === PBES2) return await decryptPbes2(parameters, encrypted, password);
  const legacy = PKCS12_SCHEMES[oid];
  if (legacy === undefined) throw unsupportedKeyFile(`the encryption ${oid}`);
  return await decryptPkcs12(legacy, parameters, encrypted, password);
}

const PBES2 = '1.2.840.113549.1.5.13';

/** RFC 7292 §C. RC4 (…1.1, …1.2) is left out: nothing wrote it in this century. */
const PKCS12_SCHEMES: Readonly<Record<string, { keyOctets: number; cipher: '3des' | '3des-2key' | 'rc2' }>> =
  {
    '1.2.840.113549.1.12.1.3': { keyOctets: 24, cipher: '3des' },
    '1.2.840.113549.1.12.1.4': { keyOctets: 16, cipher: '3des-2key' },
    '1.2.840.113549.1.12.1.5': { keyOctets: 16, cipher: 'rc2' },
    '1.2.840.113549.1.12.1.6': { keyOctets: 5, cipher: 'rc2' },
  };

/** pkcs-12PbeParams ::= SEQUENCE { salt OCTET STRING, iterations INTEGER } (RFC 7292 §C). */
async function decryptPkcs12(
  scheme: { keyOctets: number; cipher: '3des' | '3des-2key' | 'rc2' },
  parameters: SequenceReader,
  encrypted: Buffer,
  password: PasswordReader,
): Promise<Buffer> {
  const salt = readSalt(parameters.next('salt'));
  const iterations = password.iterations(parameters.next('iterations'));
  parameters.end();
  const text = password.bmp;
  const key = await derivePkcs12('sha1', 'key', text, salt, iterations, scheme.keyOctets);
  const iv = await derivePkcs12('sha1', 'iv', text, salt, iterations, 8);
  if (scheme.cipher === 'rc2') {
    const plain = decryptRc2Cbc(key, scheme.keyOctets * 8, iv, wholeBlocks(encrypted, 8));
    key.fill(0);
    return unpad(plain, 8);
  }
  const tripleKey = scheme.cipher === '3des' ? key : Buffer.concat([key, key.subarray(0, 8)]);
  if (tripleKey !== key) key.fill(0);
  return decryptCbc('des-ede3-cbc', tripleKey, iv, encrypted);
}

/** RFC 8018 §B.2: ciphers by OID. */
const CIPHERS: Readonly<Record<string, { name: string; keyOctets: number; ivOctets: number }>> = {
  '2.16.840.1.101.3.4.1.2': { name: 'aes-128-cbc', keyOctets: 16, ivOctets: 16 },
  '2.16.840.1.101.3.4.1.22': { name: 'aes-192-cbc', keyOctets: 24, ivOctets: 16 },
  '2.16.840.1.101.3.4.1.42': { name: 'aes-256-cbc', keyOctets: 32, ivOctets: 16 },
  '1.2.840.113549.3.7': { name: 'des-ede3-cbc', keyOctets: 24, ivOctets: 8 },
};

/** PBES2-params ::= SEQUENCE { keyDerivationFunc, encryptionScheme } (RFC 8018 §A.4). */
async function decryptPbes2(
  parameters: SequenceReader,
  encrypted: Buffer,
  password: PasswordReader,
): Promise<Buffer> {
  const derivation = parameters.universal(universal.sequence, 'keyDerivationFunc');
  const scheme = parameters.sequence('encryptionScheme');
  parameters.end();
  const oid = objectIdentifier(scheme.next('algorithm'));
  const cipher = CIPHERS[oid];
  if (cipher === undefined) throw unsupportedKeyFile(`the cipher ${oid}`);
  const iv = octetString(scheme.next('iv'), 'BER');
  scheme.end();
  if (iv.length !== cipher.ivOctets) throw malformedKeyFile('an initialisation vector of wrong length');
  const key = await deriveKey(derivation, cipher.keyOctets, password);
  return decryptCbc(cipher.name, key, iv, encrypted);
}

const PBKDF2 = '1.2.840.113549.1.5.12';
const SCRYPT = '1.3.6.1.4.1.11591.4.11';

/** The functions of PBKDF2 and of PBMAC1 (RFC 8018 §B.1). */
export const HMACS: Readonly<Record<string, DigestName>> = {
  '1.2.840.113549.2.7': 'sha1',
  '1.2.840.113549.2.8': 'sha224',
  '1.2.840.113549.2.9': 'sha256',
  '1.2.840.113549.2.10': 'sha384',
  '1.2.840.113549.2.11': 'sha512',
};

/**
 * PBKDF2 (RFC 8018 §A.2) or scrypt (RFC 7914 §7), with the password as UTF-8.
 *
 * @param algorithm AlgorithmIdentifier of the key derivation function
 */
export async function deriveKey(
  algorithm: Element,
  octets: number,
  password: PasswordReader,
): Promise<Buffer> {
  const identifier = sequenceOf(algorithm, 'BER', 'AlgorithmIdentifier');
  const oid = objectIdentifier(identifier.next('algorithm'));
  const parameters = identifier.sequence('parameters');
  identifier.end();
  switch (oid) {
    case PBKDF2: {
      const salt = readSalt(parameters.next('salt'));
      const iterations = password.iterations(parameters.next('iterationCount'));
      requireLength(parameters.optionalUniversal(universal.integer), octets);
      const prf = parameters.atEnd ? 'sha1' : readPrf(parameters.sequence('prf'));
      parameters.end();
      return await withText(password, (text) => promisify(pbkdf2)(text, salt, iterations, octets, prf));
    }
    case SCRYPT: {
      const salt = readSalt(parameters.next('salt'));
      const N = smallInteger(parameters.next('costParameter'));
      const r = smallInteger(parameters.next('blockSize'));
      const p = smallInteger(parameters.next('parallelizationParameter'));
      requireLength(parameters.optionalUniversal(universal.integer), octets);
      parameters.end();
      return await withText(password, (text) => deriveScrypt(text, salt, octets, { N, r, p }));
    }
    default:
      throw unsupportedKeyFile(`the key derivation ${oid}`);
  }
}

/** The password as UTF-8, for as long as it is used. */
async function withText(
  { password }: PasswordReader,
  derive: (text: Buffer) => Promise<Buffer>,
): Promise<Buffer> {
  const text = Buffer.from(password, 'utf8');
  try {
    return await derive(text);
  } finally {
    text.fill(0);
  }
}

function deriveScrypt(
  password: Buffer,
  salt: Buffer,
  octets: number,
  cost: { N: number; r: number; p: number },
): Promise<Buffer> {
  const { N, r, p } = cost;
  // RFC 7914 §2: a power of two, less than 2^(128 * r / 8).
  const inGrammar = N >= 2 && Number.isInteger(Math.log2(N)) && r >= 1 && p >= 1 && Math.log2(N) < 16 * r;
  if (!inGrammar || p > 16 || 128 * N * r > MOST_SCRYPT_OCTETS) {
    throw unsupportedKeyFile('scrypt with parameters out of bounds');
  }
  return new Promise((resolve, reject) => {
    scrypt(password, salt, octets, { ...cost, maxmem: 2 * MOST_SCRYPT_OCTETS }, (error, key) => {
      if (error === null) resolve(key);
      else reject(malformedKeyFile('scrypt', error));
    });
  });
}

function readPrf(identifier: SequenceReader): DigestName {
  const oid = objectIdentifier(identifier.next('prf'));
  const prf = HMACS[oid];
  if (prf === undefined) throw unsupportedKeyFile(`the pseudo-random function ${oid}`);
  requireNoParameters(identifier);
  return prf;
}

/** The rest of an AlgorithmIdentifier: absent or NULL (RFC 5754 §2). */
export function requireNoParameters(identifier: SequenceReader): void {
  const parameters = identifier.atEnd ? null : identifier.next('parameters');
  identifier.end();
  if (parameters === null) return;
  if (!isUniversal(parameters, universal.nullValue) || parameters.content.length > 0) {
    throw malformedKeyFile('a digest with parameters');
  }
}

function requireLength(element: Element | null, octets: number): void {
  if (element !== null && smallInteger(element) !== octets)
    throw malformedKeyFile('a key length that does not fit');
}

/** CHOICE with an algorithm that nobody ever defined; so an OCTET STRING. */
export function readSalt(element: Element): Buffer {
  const salt = octetString(element, 'BER');
  if (salt.length > LONGEST_SALT) throw malformedKeyFile('a salt that is too long');
  return salt;
}

/** Uses the key up. */
function decryptCbc(cipher: string, key: Buffer, iv: Buffer, encrypted: Buffer): Buffer {
  const decipher = createDecipheriv(cipher, key, iv).setAutoPadding(false);
  key.fill(0);
  // Whole blocks without padding: all of the plaintext comes at once, and there is one copy of it to clear.
  const plain = decipher.update(wholeBlocks(encrypted, iv.length));
  decipher.final();
  return unpad(plain, iv.length);
}

function wholeBlocks(encrypted: Buffer, block: number): Buffer {
  if (encrypted.length === 0 || encrypted.length % block !== 0)
    throw malformedKeyFile('encrypted data of odd length');
  return encrypted;
}

/** RFC 8018 §6.1.1 step 4: n octets of value n. Wrong padding is what a wrong password looks like. */
function unpad(plain: Buffer, block: number): Buffer {
  const count = plain.at(-1) ?? 0;
  const padding = plain.subarray(plain.length - count);
  if (count < 1 || count > block || !padding.every((octet) => octet === count)) throw passphraseIncorrect();
  return plain.subarray(0, plain.length - count);
}

import { createCipheriv, createDecipheriv, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { universal } from '../asn1/element.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { octetString, smallInteger } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import {
  type AlgorithmIdentifier,
  algorithmIdentifier,
  hasNoParameters,
  readAlgorithmIdentifier,
} from './algorithm-identifier.ts';
import { type CbcCipher, cbcByOid, contentEncryptionOid } from './content-encryption.ts';
import type { DigestName } from './keys.ts';
import type { PasswordInfo } from './recipient-infos.ts';

/** Content-encryption keys under a password: PBKDF2 (RFC 8018 §5.2) and id-alg-PWRI-KEK (RFC 3211 §2.3). */

const pbkdf2Oid = '1.2.840.113549.1.5.12';
const pwriKek = '1.2.840.113549.1.9.16.3.9';

/** RFC 8018 §B.1.2. */
const PRFS = new Map<string, DigestName>([
  ['1.2.840.113549.2.7', 'sha1'],
  ['1.2.840.113549.2.8', 'sha224'],
  ['1.2.840.113549.2.9', 'sha256'],
  ['1.2.840.113549.2.10', 'sha384'],
  ['1.2.840.113549.2.11', 'sha512'],
]);
const hmacWithSha256 = '1.2.840.113549.2.9';

const LONGEST_SALT = 1_024;
/** RFC 3211 §2.3.1: one octet of length, three that check, the key, and padding. */
const LONGEST_WRAPPED = 256 + 16;

const derive = promisify(pbkdf2);

/** PBKDF2 rounds that a message may still ask for: its counts are a stranger's numbers. */
export type RoundsLeft = { rounds: number };

type Derivation = { salt: Buffer; rounds: number; digest: DigestName; keyOctets: number | null };

/**
 * The content-encryption key that a password opens; null: another password, or an algorithm that is not supported.
 *
 * @param left is reduced by what was computed; what goes beyond is not computed
 * @throws SealgateError `asn1.malformed`
 */
export async function keyUnderPassword(
  info: PasswordInfo,
  password: Uint8Array,
  left: RoundsLeft,
): Promise<Buffer | null> {
  const derivation = info.derivation === null ? null : readDerivation(info.derivation);
  const encryption = readKeyEncryption(info.algorithm);
  if (derivation === null || encryption === null) return null;
  const { cipher, iv } = encryption;
  if (derivation.keyOctets !== null && derivation.keyOctets !== cipher.keyOctets) return null;
  if (derivation.rounds < 1 || derivation.rounds > left.rounds) return null;
  left.rounds -= derivation.rounds;
  const { salt, rounds, digest } = derivation;
  const keyEncryptionKey = await derive(password, salt, rounds, cipher.keyOctets, digest);
  const key = unwrap(cipher, keyEncryptionKey, iv, info.encryptedKey);
  keyEncryptionKey.fill(0);
  return key;
}

/**
 * `PBKDF2-params ::= SEQUENCE { salt CHOICE { specified OCTET STRING, … }, iterationCount, keyLength OPTIONAL, prf
 * DEFAULT hmacWithSHA1 }` (RFC 8018 §A.2).
 */
function readDerivation({ oid, parameters }: AlgorithmIdentifier): Derivation | null {
  if (oid !== pbkdf2Oid || parameters === null) return null;
  const reader = sequenceOf(parameters, 'BER', 'PBKDF2-params');
  const salt = octetString(reader.universal(universal.octetString, 'salt'), 'BER');
  const rounds = smallInteger(reader.next('iterationCount'));
  const length = reader.optionalUniversal(universal.integer);
  const prf = reader.atEnd ? null : readAlgorithmIdentifier(reader.next('prf'));
  reader.end();
  const digest = prf === null ? 'sha1' : hasNoParameters(prf) ? PRFS.get(prf.oid) : undefined;
  if (digest === undefined || salt.length > LONGEST_SALT) return null;
  return { salt, rounds, digest, keyOctets: length === null ? null : smallInteger(length) };
}

/** The parameter of id-alg-PWRI-KEK is the identifier of a block cipher in CBC mode (RFC 3211 §2.3). */
function readKeyEncryption({
  oid,
  parameters,
}: AlgorithmIdentifier): { cipher: CbcCipher; iv: Buffer } | null {
  if (oid !== pwriKek || parameters === null) return null;
  const inner = readAlgorithmIdentifier(parameters);
  const cipher = cbcByOid(inner.oid);
  if (cipher === null || inner.parameters === null) return null;
  const iv = octetString(inner.parameters, 'BER');
  return iv.length === cipher.blockOctets ? { cipher, iv } : null;
}

/** RFC 3211 §2.3.2. The key was encrypted twice, the second time with the last block of the first as its start. */
function unwrap(cipher: CbcCipher, key: Buffer, iv: Buffer, wrapped: Buffer): Buffer | null {
  const { blockOctets } = cipher;
  const blocks = wrapped.length / blockOctets;
  if (!Number.isInteger(blocks) || blocks < 2 || wrapped.length > LONGEST_WRAPPED) return null;
  const decrypt = (start: Buffer, octets: Buffer): Buffer =>
    createDecipheriv(cipher.cipher, key, start).setAutoPadding(false).update(octets);
  const lastAt = wrapped.length - blockOctets;
  const last = decrypt(wrapped.subarray(lastAt - blockOctets, lastAt), wrapped.subarray(lastAt));
  const inner = Buffer.concat([decrypt(last, wrapped.subarray(0, lastAt)), last]);
  const plain = decrypt(iv, inner);
  const octets = plain[0] ?? 0;
  const found = plain.subarray(4, 4 + octets);
  let wrong = Number(octets < 3) | Number(found.length !== octets);
  for (let i = 0; i < 3; i++) wrong |= (plain[1 + i] ?? 0) ^ (found[i] ?? 0) ^ 0xff;
  const contentKey = wrong === 0 ? Buffer.from(found) : null;
  plain.fill(0);
  return contentKey;
}

/** RFC 3211 §2.3.1. */
function wrapTwice(cipher: CbcCipher, key: Buffer, iv: Buffer, contentKey: Uint8Array): Buffer {
  const { blockOctets } = cipher;
  const blocks = Math.max(2, Math.ceil((4 + contentKey.length) / blockOctets));
  const plain = randomBytes(blocks * blockOctets);
  plain[0] = contentKey.length;
  for (let i = 0; i < 3; i++) plain[1 + i] = (contentKey[i] ?? 0) ^ 0xff;
  plain.set(contentKey, 4);
  const encrypt = createCipheriv(cipher.cipher, key, iv).setAutoPadding(false);
  const once = encrypt.update(plain);
  plain.fill(0);
  return encrypt.update(once);
}

/** What a new PasswordRecipientInfo asks of a reader; OWASP's figure for HMAC-SHA-256. */
const ROUNDS = 600_000;

/**
 * A content-encryption key under a password: a PasswordRecipientInfo without its tag (RFC 5652 §6.2.4), AES-256.
 *
 * @param rounds of PBKDF2
 */
export async function passwordRecipientInfo(
  password: Uint8Array,
  contentKey: Uint8Array,
  rounds = ROUNDS,
): Promise<Buffer> {
  const oid = contentEncryptionOid('aes256-cbc');
  const cipher = cbcByOid(oid);
  if (cipher === null) throw new Error('AES-256-CBC is a cipher in CBC mode');
  const salt = randomBytes(16);
  const iv = randomBytes(cipher.blockOctets);
  const keyEncryptionKey = await derive(password, salt, rounds, cipher.keyOctets, 'sha256');
  const encryptedKey = wrapTwice(cipher, keyEncryptionKey, iv, contentKey);
  keyEncryptionKey.fill(0);
  const prf = algorithmIdentifier(hmacWithSha256, der.nullValue());
  const parameters = der.sequence(der.octetString(salt), der.integer(rounds), prf);
  return der.sequence(
    der.integer(0),
    der.implicit(0, algorithmIdentifier(pbkdf2Oid, parameters)),
    algorithmIdentifier(pwriKek, algorithmIdentifier(oid, der.octetString(iv))),
    der.octetString(encryptedKey),
  );
}

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { universal } from '../../asn1/element.ts';
import type { SequenceReader } from '../../asn1/sequence-reader.ts';
import { objectIdentifier, octetString } from '../../asn1/values.ts';
import * as der from '../../asn1/writer.ts';
import type { DigestName } from '../../cms/keys.ts';
import { passphraseIncorrect, unsupportedKeyFile } from './key-file-error.ts';
import { deriveKey, HMACS, type PasswordReader, readSalt, requireNoParameters } from './pbe.ts';
import { type NewPassword, pbkdf2Algorithm } from './pbe-writer.ts';
import { bmpPassword, derivePkcs12 } from './pkcs12-kdf.ts';

/** The MAC over a PKCS#12 file's contents (RFC 7292 §4), which is also what tells whether the password is right. */

type MacDigest = { name: DigestName; oid: string; octets: number };

const DIGESTS: readonly MacDigest[] = [
  { name: 'sha1', oid: '1.3.14.3.2.26', octets: 20 },
  { name: 'sha224', oid: '2.16.840.1.101.3.4.2.4', octets: 28 },
  { name: 'sha256', oid: '2.16.840.1.101.3.4.2.1', octets: 32 },
  { name: 'sha384', oid: '2.16.840.1.101.3.4.2.2', octets: 48 },
  { name: 'sha512', oid: '2.16.840.1.101.3.4.2.3', octets: 64 },
];
/** RFC 9579 (in RFC 8018 §A.5). */
const PBMAC1 = '1.2.840.113549.1.5.14';

/**
 * MacData ::= SEQUENCE { mac DigestInfo, macSalt OCTET STRING, iterations INTEGER DEFAULT 1 } (RFC 7292 §4).
 *
 * @throws SealgateError `key.passphrase-incorrect`, `key.file-unsupported`, `key.file-malformed`, `asn1.malformed`
 */
export async function checkMac(
  macData: SequenceReader,
  authSafe: Buffer,
  password: PasswordReader,
): Promise<void> {
  const mac = macData.sequence('mac');
  const identifier = mac.sequence('digestAlgorithm');
  const expected = octetString(mac.next('digest'), 'BER');
  mac.end();
  const salt = readSalt(macData.next('macSalt'));
  const count = macData.optionalUniversal(universal.integer);
  macData.end();
  const oid = objectIdentifier(identifier.next('algorithm'));
  if (oid === PBMAC1) {
    const { key, digest } = await derivePbmac1(identifier.sequence('parameters'), password);
    identifier.end();
    if (!isMac(expected, digest, key, authSafe)) throw passphraseIncorrect();
    return;
  }
  const digest = DIGESTS.find((row) => row.oid === oid);
  if (digest === undefined) throw unsupportedKeyFile(`the digest ${oid}`);
  requireNoParameters(identifier);
  const iterations = count === null ? 1 : password.iterations(count);
  for (const bmp of bmpForms(password.password)) {
    const key = await derivePkcs12(digest.name, 'mac', bmp, salt, iterations, digest.octets);
    if (!isMac(expected, digest.name, key, authSafe)) continue;
    password.bmp = bmp;
    return;
  }
  throw passphraseIncorrect();
}

/** No password is two zero octets to some and none at all to others; the MAC tells which. */
function bmpForms(password: string): Buffer[] {
  return password === '' ? [bmpPassword(''), Buffer.alloc(0)] : [bmpPassword(password)];
}

/** PBMAC1-params ::= SEQUENCE { keyDerivationFunc, messageAuthScheme } (RFC 8018 §A.5); macSalt is not used then. */
async function derivePbmac1(
  parameters: SequenceReader,
  password: PasswordReader,
): Promise<{ key: Buffer; digest: DigestName }> {
  const derivation = parameters.universal(universal.sequence, 'keyDerivationFunc');
  const scheme = parameters.sequence('messageAuthScheme');
  parameters.end();
  const oid = objectIdentifier(scheme.next('algorithm'));
  requireNoParameters(scheme);
  const digest = HMACS[oid];
  const octets = DIGESTS.find(({ name }) => name === digest)?.octets;
  if (digest === undefined || octets === undefined) {
    throw unsupportedKeyFile(`the message authentication ${oid}`);
  }
  // RFC 9579 wants keyLength to be there; it is that of the digest in all files there are.
  return { key: await deriveKey(derivation, octets, password), digest };
}

/** In constant time; the key is of no more use after it. */
function isMac(expected: Buffer, digest: DigestName, key: Buffer, authSafe: Buffer): boolean {
  const computed = createHmac(digest, key).update(authSafe).digest();
  key.fill(0);
  return expected.length === computed.length && timingSafeEqual(expected, computed);
}

/**
 * MacData for a new file: HMAC under the key derivation of PKCS#12 (RFC 7292 §B), or PBMAC1 with HMAC-SHA-256 (RFC 9579).
 *
 * @param authSafe octets of the AuthenticatedSafe
 */
export async function macData(
  kind: 'sha1' | 'sha256' | 'pbmac1',
  authSafe: Buffer,
  password: NewPassword,
): Promise<Buffer> {
  if (kind === 'pbmac1') {
    const { algorithm, key } = await pbkdf2Algorithm(password, 32, 'with-length');
    const scheme = der.sequence(der.oid('1.2.840.113549.2.9'), der.nullValue());
    const pbmac1 = der.sequence(der.oid(PBMAC1), der.sequence(algorithm, scheme));
    const mac = createHmac('sha256', key).update(authSafe).digest();
    key.fill(0);
    const digestInfo = der.sequence(pbmac1, der.octetString(mac));
    // RFC 9579: the other two fields have no meaning then, and have to be there.
    return der.sequence(digestInfo, der.octetString(Buffer.from('NOT USED', 'latin1')), der.integer(1));
  }
  const row = DIGESTS.find(({ name }) => name === kind);
  if (row === undefined) throw new Error(`no MAC with ${kind}`);
  const salt = randomBytes(16);
  const key = await derivePkcs12(kind, 'mac', password.bmp, salt, password.iterations, row.octets);
  const mac = createHmac(kind, key).update(authSafe).digest();
  key.fill(0);
  const algorithm = der.sequence(der.oid(row.oid), der.nullValue());
  return der.sequence(
    der.sequence(algorithm, der.octetString(mac)),
    der.octetString(salt),
    der.integer(password.iterations),
  );
}

import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { universal } from '../../asn1/element.ts';
import * as der from '../../asn1/writer.ts';
import { unreachable } from '../../errors.ts';
import type { Secret } from '../../log/secret.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { tooManyKeys } from './key-file-error.ts';
import { requireWorkingPair } from './pair-keys.ts';
import { MOST_ITERATIONS_OF_A_FILE } from './pbe.ts';
import { type EncryptedOctets, encryptPbes2, encryptTripleDes, NewPassword } from './pbe-writer.ts';
import { encryptedPrivateKeyInfo } from './pkcs8.ts';
import { macData } from './pkcs12-mac.ts';

/** Writes PKCS#12 files (RFC 7292), DER: what a person carries to another program or keeps as a copy. */

/**
 * How the file is protected. `current`: PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC, HMAC-SHA-256 over it, as OpenSSL 3 and
 * Windows Server 2019 write it. `pbmac1`: the same with a MAC by RFC 9579, which only new programs read. `old-programs`:
 * triple DES and SHA-1, for Outlook on old Windows, old macOS and GnuPG before 2.4.
 *
 * Passwords beyond ASCII are encoded as the RFCs say; Java and GnuPG do not follow them there.
 */
export type Pkcs12Protection = 'current' | 'pbmac1' | 'old-programs';

export type Pkcs12Entry = {
  privateKey: KeyObject;
  certificate: Certificate;
  /** Intermediates, and the root where it is to go along. */
  chain: readonly Certificate[];
  /** Shown by the programs that import it; null: none. */
  friendlyName: string | null;
};

export type WritePkcs12Options = {
  /** Default `current`. */
  protection?: Pkcs12Protection;
  /** Of each key derivation, 2,048 to 2,000,000. */
  iterations?: number;
};

/**
 * Every key of a file has a derivation of its own, and readers bound what they compute: .NET each count, and their sum. Those of the old scheme are computed here and not by OpenSSL, three for each key.
 */
const ITERATIONS: Readonly<Record<Pkcs12Protection, number>> = {
  current: 100_000,
  pbmac1: 100_000,
  'old-programs': 20_000,
};

/**
 * One file with all the keys: a pair for signatures and one for encryption, and archived ones that old mail needs. A key
 * with several certificates (renewed ones) stands in it once, each certificate once.
 *
 * @param entries at least one
 * @throws SealgateError `key.no-certificate`: a certificate is not that of its key; `key.passphrase-unusable`,
 *   `key.too-many`
 */
export async function writePkcs12(
  entries: readonly Pkcs12Entry[],
  password: Secret,
  { protection = 'current', iterations = ITERATIONS[protection] }: WritePkcs12Options = {},
): Promise<Buffer> {
  for (const { privateKey, certificate } of entries) requireWorkingPair(privateKey, certificate);
  using secret = new NewPassword(password, iterations);
  const ids = new Map(entries.map((entry) => [entry.certificate.fingerprint, keyId(entry.privateKey)]));
  const keys = distinctKeys(entries);
  // One derivation for each key, one for the certificates, one for the MAC; our own reader has a bound.
  if (keys.length === 0 || (keys.length + 2) * iterations > MOST_ITERATIONS_OF_A_FILE) {
    throw tooManyKeys(keys.length);
  }
  const encrypt = (plain: Buffer): Promise<EncryptedOctets> =>
    protection === 'old-programs' ? encryptTripleDes(plain, secret) : encryptPbes2(plain, secret);

  const keyBags: Buffer[] = [];
  for (const { privateKey, attributes } of keys) {
    keyBags.push(safeBag(SHROUDED_KEY, await encryptedPrivateKeyInfo(privateKey, encrypt), attributes));
  }
  const certificates = await encrypt(der.sequence(...certificateBags(entries, keys, ids)));
  // AuthenticatedSafe ::= SEQUENCE OF ContentInfo (RFC 7292 §4.1).
  const authSafe = der.sequence(encryptedData(certificates), data(der.sequence(...keyBags)));
  const mac = await macData(macOf(protection), authSafe, secret);
  return der.sequence(der.integer(3), data(authSafe), mac);
}

function macOf(protection: Pkcs12Protection): 'sha1' | 'sha256' | 'pbmac1' {
  switch (protection) {
    case 'current':
      return 'sha256';
    case 'pbmac1':
      return 'pbmac1';
    case 'old-programs':
      return 'sha1';
    default:
      return unreachable(protection);
  }
}

type WrittenKey = { id: string; privateKey: KeyObject; attributes: Buffer };

/** localKeyId ties certificates to their key; names are made distinct, as Java keeps only one entry of each. */
function distinctKeys(entries: readonly Pkcs12Entry[]): WrittenKey[] {
  const keys = new Map<string, WrittenKey>();
  const names = new Set<string>();
  for (const { privateKey, friendlyName } of entries) {
    const id = keyId(privateKey);
    if (keys.has(id)) continue;
    const name = friendlyName === null ? null : distinctName(friendlyName, names);
    keys.set(id, { id, privateKey, attributes: bagAttributes(name, id) });
  }
  return [...keys.values()];
}

function distinctName(wanted: string, used: Set<string>): string {
  let name = wanted;
  for (let i = 2; used.has(name.toLowerCase()); i++) name = `${wanted} ${i}`;
  used.add(name.toLowerCase());
  return name;
}

/** @param ids of the keys, by the fingerprints of their certificates */
function certificateBags(
  entries: readonly Pkcs12Entry[],
  keys: readonly WrittenKey[],
  ids: ReadonlyMap<string, string>,
): Buffer[] {
  const bags = new Map<string, Buffer>();
  for (const { certificate } of entries) {
    const id = ids.get(certificate.fingerprint);
    const attributes = keys.find((key) => key.id === id)?.attributes ?? null;
    bags.set(certificate.fingerprint, certificateBag(certificate, attributes));
  }
  for (const certificate of entries.flatMap(({ chain }) => chain)) {
    if (!bags.has(certificate.fingerprint)) {
      bags.set(certificate.fingerprint, certificateBag(certificate, null));
    }
  }
  return [...bags.values()];
}

/** Twenty octets, as most programs have it. */
function keyId(privateKey: KeyObject): string {
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(publicKey).digest('hex').slice(0, 40);
}

const DATA = '1.2.840.113549.1.7.1';
const ENCRYPTED_DATA = '1.2.840.113549.1.7.6';
const SHROUDED_KEY = '1.2.840.113549.1.12.10.1.2';
const CERTIFICATE = '1.2.840.113549.1.12.10.1.3';
const X509_CERTIFICATE = '1.2.840.113549.1.9.22.1';
const FRIENDLY_NAME = '1.2.840.113549.1.9.20';
const LOCAL_KEY_ID = '1.2.840.113549.1.9.21';

/** SafeBag ::= SEQUENCE { bagId, bagValue [0] EXPLICIT, bagAttributes SET OF OPTIONAL } (RFC 7292 §4.2). */
function safeBag(id: string, value: Buffer, attributes: Buffer | null): Buffer {
  return der.sequence(der.oid(id), der.explicit(0, value), ...(attributes === null ? [] : [attributes]));
}

function certificateBag(certificate: Certificate, attributes: Buffer | null): Buffer {
  const value = der.sequence(der.oid(X509_CERTIFICATE), der.explicit(0, der.octetString(certificate.der)));
  return safeBag(CERTIFICATE, value, attributes);
}

/** friendlyName is a BMPString, localKeyId an OCTET STRING (RFC 2985 §5.5). */
function bagAttributes(friendlyName: string | null, keyIdentifier: string): Buffer {
  const attribute = (type: string, value: Buffer) => der.sequence(der.oid(type), der.setOf([value]));
  const id = attribute(LOCAL_KEY_ID, der.octetString(Buffer.from(keyIdentifier, 'hex')));
  if (friendlyName === null) return der.setOf([id]);
  const bmp = Buffer.from(friendlyName.toWellFormed(), 'utf16le').swap16();
  return der.setOf([id, attribute(FRIENDLY_NAME, der.element(universal.bmpString, bmp))]);
}

function data(octets: Buffer): Buffer {
  return der.sequence(der.oid(DATA), der.explicit(0, der.octetString(octets)));
}

/** EncryptedData, version 0 (RFC 5652 §8). */
function encryptedData({ algorithm, encrypted }: EncryptedOctets): Buffer {
  const info = der.sequence(der.oid(DATA), algorithm, der.implicitPrimitive(0, encrypted));
  return der.sequence(der.oid(ENCRYPTED_DATA), der.explicit(0, der.sequence(der.integer(0), info)));
}

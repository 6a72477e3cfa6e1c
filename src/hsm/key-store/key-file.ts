import { createPrivateKey, createPublicKey, hash, type KeyObject, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { limits } from '../../limits.ts';
import { type Certificate, parseCertificate } from '../../pki/certificate.ts';
import { readPem, writePem } from '../../pki/pem.ts';
import { deriveSealing, SALT_OCTETS, seal, unseal } from './sealing.ts';
import { malformedStore } from './store-error.ts';
import { base64, instant, readStrict, writeStrict } from './strict-json.ts';

/**
 * One key of a store: what may be read by whoever may read the file, and PKCS#8 (RFC 5208) encrypted under a key of this file's own.
 *
 * What holds: the clear part is associated data of the encryption, and the name and the store are in the derivation of the key. So a
 * file with another name, of another store, or with any part of another file or of an older one of its own does not open.
 */

/** The name of a file without its ending: no path, no hidden file, nothing a shell would read as an option. */
export const KEY_NAME = /^[A-Za-z0-9][A-Za-z0-9@._+-]{0,99}$/;
export const KEY_FILE = /^(.*)\.key$/s;
/** A leaf, and as many above it as a path has. */
export const MOST_CERTIFICATES = limits.pki.pathLength;

const keyFile = z.strictObject({
  format: z.literal('sealgate-key'),
  version: z.literal(1),
  name: z.string().regex(KEY_NAME),
  created: instant,
  exportable: z.boolean(),
  use: z.enum(['sign-and-decrypt', 'sign', 'decrypt']),
  /** DER of SubjectPublicKeyInfo. */
  publicKey: base64,
  /** PEM: the key's own first, then each one's issuer. */
  certificates: z.array(z.string().max(256 * 1024)).max(MOST_CERTIFICATES),
  salt: base64,
  encrypted: base64,
});

type KeyFile = z.infer<typeof keyFile>;

/** What a key file says, all of it authenticated. */
export type OpenedKeyFile = Pick<KeyFile, 'name' | 'exportable' | 'use' | 'created'> & {
  publicKey: KeyObject;
  /** SHA-256 of the SubjectPublicKeyInfo, hexadecimal. */
  key: string;
  certificates: readonly Certificate[];
  privateKey: KeyObject;
};

export type NewKeyFile = Omit<OpenedKeyFile, 'publicKey' | 'key'>;

export function fileOf(name: string): string {
  return `${name}.key`;
}

/** @param from certificates: the key's own first, then each one's issuer */
export function writeKeyFile(master: Buffer, from: NewKeyFile): Buffer {
  const salt = randomBytes(SALT_OCTETS);
  const clear: Omit<KeyFile, 'encrypted'> = {
    format: 'sealgate-key',
    version: 1,
    name: from.name,
    created: from.created,
    exportable: from.exportable,
    use: from.use,
    publicKey: spki(createPublicKey(from.privateKey)).toString('base64'),
    certificates: from.certificates.map(({ der }) => writePem('CERTIFICATE', der)),
    salt: salt.toString('base64'),
  };
  const plain = from.privateKey.export({ type: 'pkcs8', format: 'der' });
  const encrypted = seal(sealingOf(master, clear), associated(clear), plain);
  plain.fill(0);
  return writeStrict({ ...clear, encrypted: encrypted.toString('base64') } satisfies KeyFile);
}

/**
 * @param file its path, for what is said
 * @param name that the file's name says
 * @throws SealgateError `key.store-malformed`
 */
export function readKeyFile(master: Buffer, file: string, name: string, octets: Buffer): OpenedKeyFile {
  const { encrypted, ...clear } = readStrict(file, octets, keyFile);
  if (clear.name !== name) throw malformedStore(file, 'the file has another name than the key in it');
  const plain = unseal(sealingOf(master, clear), associated(clear), Buffer.from(encrypted, 'base64'));
  if (plain === null) throw malformedStore(file, 'of another store, or changed');
  try {
    const privateKey = createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' });
    const publicKey = createPublicKey(privateKey);
    const publicOctets = spki(publicKey);
    if (publicOctets.toString('base64') !== clear.publicKey) throw new Error('another public key');
    const { created, exportable, use } = clear;
    const certificates = clear.certificates.map(readCertificate);
    const key = hash('sha256', certificates[0]?.subjectPublicKeyInfo ?? publicOctets);
    return { name, created, exportable, use, publicKey, key, certificates, privateKey };
  } catch (cause) {
    // Authentic and not usable: written by another version, or by nobody who should have.
    throw malformedStore(file, 'authentic, and what it holds cannot be read', cause);
  } finally {
    plain.fill(0);
  }
}

function readCertificate(pem: string): Certificate {
  const [only, second] = readPem(pem);
  if (only?.label !== 'CERTIFICATE' || second !== undefined) throw new Error('not one certificate');
  return parseCertificate(only.der);
}

function sealingOf(master: Buffer, { name, salt }: Pick<KeyFile, 'name' | 'salt'>): Buffer {
  return deriveSealing(master, Buffer.from(salt, 'base64'), `sealgate key store 1 key ${name}`);
}

function associated(clear: Omit<KeyFile, 'encrypted'>): Buffer {
  return Buffer.from(JSON.stringify(clear), 'utf8');
}

function spki(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

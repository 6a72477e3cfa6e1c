import type { KeyObject } from 'node:crypto';
import { isUniversal, universal } from '../../asn1/element.ts';
import { readWhole } from '../../asn1/reader.ts';
import { sequenceOf } from '../../asn1/sequence-reader.ts';
import { SealgateError } from '../../errors.ts';
import type { Secret } from '../../log/secret.ts';
import { readCertificates } from '../../pki/certificate-file.ts';
import { type PemObject, readPem } from '../../pki/pem.ts';
import type { LoadedKey } from '../loaded-key.ts';
import { about, malformedKeyFile, passphraseIncorrect } from './key-file-error.ts';
import { importPrivateKey, pairKeys } from './pair-keys.ts';
import { PasswordReader } from './pbe.ts';
import { readEncryptedPrivateKeyInfo } from './pkcs8.ts';
import { type FilePermissions, readPrivateFile, readPublicFile } from './private-file.ts';

export type LoadPemKeyOptions = {
  /** Path of a PEM file with the certificate and its chain, in any order. */
  certificateFile: string;
  /** Path of a file with one private key, PEM or DER; a PEM file may be the same. */
  keyFile: string;
  /** For an encrypted key. */
  passphrase?: Secret | null;
  /** Name in the configuration. Default: the key file's path. */
  name?: string;
  /** Default `owner-only`. */
  permissions?: FilePermissions;
};

/**
 * @throws SealgateError `key.file-unreadable`, `key.file-permissions`, `key.passphrase-incorrect`,
 *   `key.passphrase-missing`, `key.file-malformed`, `key.file-unsupported`, `key.no-certificate`
 */
export async function loadPemKey(options: LoadPemKeyOptions): Promise<LoadedKey[]> {
  const keyText = await readPrivateFile(options.keyFile, options.permissions ?? 'owner-only');
  const privateKey = await about(options.keyFile, () =>
    readPrivateKey(keyText, options.passphrase?.reveal() ?? null),
  ).finally(() => keyText.fill(0));
  const certificateText = await readPublicFile(options.certificateFile);
  return await about(options.certificateFile, async () =>
    pairKeys(
      options.name ?? options.keyFile,
      [{ privateKey, friendlyName: null }],
      readCertificates(certificateText),
    ),
  );
}

/** The one private key of a file; in PEM, certificates and curve parameters next to it are passed over. */
async function readPrivateKey(octets: Buffer, passphrase: string | null): Promise<KeyObject> {
  if (octets[0] === SEQUENCE_IDENTIFIER) {
    return await decodePrivateKey({ label: labelOf(octets), der: octets }, passphrase);
  }
  const text = octets.toString('latin1');
  if (/^Proc-Type: *4,ENCRYPTED/m.test(text)) {
    throw new SealgateError({
      code: 'key.file-unsupported',
      publicText:
        'The key is encrypted in the old way of OpenSSL, which protects it badly; convert it with openssl pkcs8 -topk8 -in OLD -out NEW.',
      duration: 'permanent',
    });
  }
  const keys = readPem(text).filter((object) => object.label.endsWith('PRIVATE KEY'));
  const [only, second] = keys;
  if (only === undefined) throw malformedKeyFile('no private key in it');
  if (second !== undefined) throw malformedKeyFile('more than one private key in it');
  return await decodePrivateKey(only, passphrase).finally(() => only.der.fill(0));
}

const SEQUENCE_IDENTIFIER = 0x30;

/** Which of the structures a DER file holds: they differ in their first two elements. */
function labelOf(octets: Buffer): string {
  const structure = sequenceOf(readWhole(octets, 'DER'), 'DER', 'a private key');
  // EncryptedPrivateKeyInfo begins with an AlgorithmIdentifier, the others with a version.
  if (!isUniversal(structure.next(), universal.integer)) return 'ENCRYPTED PRIVATE KEY';
  const second = structure.next();
  if (isUniversal(second, universal.sequence)) return 'PRIVATE KEY';
  return isUniversal(second, universal.integer) ? 'RSA PRIVATE KEY' : 'EC PRIVATE KEY';
}

/** Labels: RFC 7468 §10 and §11; RFC 5915 §4; the one for PKCS#1 is OpenSSL's. */
async function decodePrivateKey(object: PemObject, passphrase: string | null): Promise<KeyObject> {
  switch (object.label) {
    case 'PRIVATE KEY':
      return importPrivateKey(object.der, 'pkcs8');
    case 'RSA PRIVATE KEY':
      return importPrivateKey(object.der, 'pkcs1');
    case 'EC PRIVATE KEY':
      return importPrivateKey(object.der, 'sec1');
    case 'ENCRYPTED PRIVATE KEY':
      return await decryptPrivateKey(object.der, passphrase);
    default:
      throw malformedKeyFile(`a ${object.label}`);
  }
}

async function decryptPrivateKey(der: Buffer, passphrase: string | null): Promise<KeyObject> {
  if (passphrase === null) {
    throw new SealgateError({
      code: 'key.passphrase-missing',
      publicText:
        'The key is encrypted and no passphrase is configured for it; name a file or variable that holds it.',
      duration: 'permanent',
    });
  }
  using password = new PasswordReader(passphrase);
  const plain = await readEncryptedPrivateKeyInfo(readWhole(der, 'DER'), password);
  try {
    return importPrivateKey(plain, 'pkcs8');
  } catch {
    // Nothing protects the ciphertext: one wrong password in 256 passes the padding and gives nonsense.
    throw passphraseIncorrect();
  } finally {
    plain.fill(0);
  }
}

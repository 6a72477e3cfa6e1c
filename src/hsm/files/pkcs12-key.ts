import type { Secret } from '../../log/secret.ts';
import { parseCertificate } from '../../pki/certificate.ts';
import type { LoadedKey } from '../loaded-key.ts';
import { about, malformedKeyFile } from './key-file-error.ts';
import { type FoundKey, importPrivateKey, pairKeys } from './pair-keys.ts';
import { readPkcs12 } from './pkcs12.ts';
import { type FilePermissions, readPrivateFile } from './private-file.ts';

export type LoadPkcs12Options = {
  /** Path of the .p12 or .pfx file. */
  file: string;
  password: Secret;
  /** Name in the configuration. Default: the file's path. */
  name?: string;
  /** Default `owner-only`. */
  permissions?: FilePermissions;
};

/**
 * The keys of a PKCS#12 file, each with its certificate and chain.
 *
 * @throws SealgateError `key.file-unreadable`, `key.file-permissions`, `key.passphrase-incorrect`, `key.file-malformed`,
 *   `key.file-unsupported`, `key.no-private-key`, `key.no-certificate`
 */
export async function loadPkcs12(options: LoadPkcs12Options): Promise<LoadedKey[]> {
  const octets = await readPrivateFile(options.file, options.permissions ?? 'owner-only');
  return await about(options.file, () =>
    readKeys(octets, options.password.reveal(), options.name ?? options.file),
  );
}

/** The same from octets, for files that are uploaded rather than configured. */
export async function keysOfPkcs12(octets: Buffer, password: Secret, name: string): Promise<LoadedKey[]> {
  return await about(name, () => readKeys(octets, password.reveal(), name));
}

async function readKeys(octets: Buffer, password: string, name: string): Promise<LoadedKey[]> {
  const contents = await readPkcs12(octets, password);
  if (contents.privateKeys.length === 0) throw malformedKeyFile('no private key in it');
  let keys: FoundKey[];
  try {
    keys = contents.privateKeys.map(({ privateKeyInfo, friendlyName }) => ({
      privateKey: importPrivateKey(privateKeyInfo, 'pkcs8'),
      friendlyName,
    }));
  } finally {
    for (const { privateKeyInfo } of contents.privateKeys) privateKeyInfo.fill(0);
  }
  return pairKeys(
    name,
    keys,
    contents.certificates.map(({ der }) => parseCertificate(der)),
  );
}

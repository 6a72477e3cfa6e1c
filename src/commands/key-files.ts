import { resolve } from 'node:path';
import { loadPemKey } from '../hsm/files/pem-key.ts';
import { loadPkcs12 } from '../hsm/files/pkcs12-key.ts';
import { readPrivateFile } from '../hsm/files/private-file.ts';
import type { LoadedKey } from '../hsm/loaded-key.ts';
import type { PinSource } from '../hsm/source-kinds.ts';
import { existingPassword } from './command-secret.ts';
import { namedSecret, type SecretOptions, secretSource } from './secret-options.ts';

/** Files with private keys that commands read. */

export type KeyFileOptions = SecretOptions & { certificate?: string };

/** @throws SealgateError of the file and its password */
export async function loadKeyFile(
  path: string,
  kind: 'pkcs12' | 'private-key',
  options: KeyFileOptions,
): Promise<LoadedKey[]> {
  const source = await passwordSource(path, kind, options);
  const password = source === null ? null : await existingPassword(source, path);
  if (kind === 'pkcs12' && password !== null) return await loadPkcs12({ file: path, password });
  const certificateFile = resolve(options.certificate ?? path);
  return await loadPemKey({ keyFile: path, certificateFile, passphrase: password });
}

/** null: the key is not encrypted. */
export async function passwordSource(
  path: string,
  kind: 'pkcs12' | 'private-key',
  options: SecretOptions,
): Promise<PinSource | null> {
  const needed = kind === 'pkcs12' || (await isEncrypted(path));
  return needed ? secretSource('file-password', options) : namedSecret('file-password', options);
}

/** PEM; a key in DER that is encrypted is told of by its reader. */
async function isEncrypted(path: string): Promise<boolean> {
  const octets = await readPrivateFile(path, 'owner-only');
  try {
    return octets.includes('ENCRYPTED PRIVATE KEY');
  } finally {
    octets.fill(0);
  }
}

import type { KeyObject } from 'node:crypto';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { loadPemKey } from '../hsm/files/pem-key.ts';
import { loadPkcs12 } from '../hsm/files/pkcs12-key.ts';
import type { KeyStore, StoredKey } from '../hsm/key-store/key-store.ts';
import type { LoadedKey } from '../hsm/loaded-key.ts';
import type { SoftwareSource } from '../hsm/source-kinds.ts';
import { printable } from '../log/printable.ts';
import { Secret } from '../log/secret.ts';
import type { Certificate } from '../pki/certificate.ts';
import { existingPassword } from './command-secret.ts';
import { namedSource, requireStore, type StoreOptions } from './key-store-options.ts';

/** A key that is about to be written elsewhere, from a key store or from the files of a configuration. */
export type ExportableKey = {
  name: string;
  /** Where it is: a folder or a file. */
  place: string;
  certificate: Certificate;
  chain: readonly Certificate[];
  /** null: it was not asked for. */
  privateKey: KeyObject | null;
  /** null: not from there. */
  remove: (() => Promise<void>) | null;
  close(): void;
};

/**
 * @param withKey whether the private key is wanted
 * @throws SealgateError `key.not-exportable`, `key.absent`, `key.no-certificate`, those of the store or file
 */
export async function openExportableKey(
  name: string,
  withKey: boolean,
  options: StoreOptions,
  config: Config | null,
): Promise<ExportableKey> {
  const file = fileOf(options, config);
  if (file !== null) return fromFile(name, withKey, await load(file), placeOf(file));
  const store = await requireStore(options, config);
  try {
    return await fromStore(store, name, withKey);
  } catch (error) {
    store.close();
    throw error;
  }
}

async function fromStore(store: KeyStore, name: string, withKey: boolean): Promise<ExportableKey> {
  const exported = withKey ? await store.exportKey(name) : null;
  const stored = exported?.stored ?? (await storedKey(store, name));
  const { certificate, chain } = stored;
  if (certificate === null) throw withoutCertificate(name);
  return {
    ...{ name, place: store.folder, certificate, chain, privateKey: exported?.privateKey ?? null },
    remove: () => store.remove(name),
    close: () => store.close(),
  };
}

async function storedKey(store: KeyStore, name: string): Promise<StoredKey> {
  const { keys } = await store.list();
  const found = keys.find((key) => key.name === name);
  if (found !== undefined) return found;
  throw absent(
    name,
    keys.map((key) => key.name),
  );
}

type FileSource = Exclude<SoftwareSource, { kind: 'store' }>;

/** null: a key store. @throws SealgateError `key.not-exportable` for a token */
function fileOf({ store, source }: StoreOptions, config: Config | null): FileSource | null {
  if (store !== undefined || source === undefined) return null;
  const [place] = namedSource(source, config).places;
  if (place?.kind === 'token') {
    throw new SealgateError({
      code: 'key.not-exportable',
      duration: 'permanent',
      publicText: `The keys of ${printable(source)} are on a token and stay there; their certificates are shown by “sealgate token list”.`,
    });
  }
  return place === undefined || place.kind === 'store' ? null : place;
}

async function load(place: FileSource): Promise<LoadedKey[]> {
  if (place.kind === 'pkcs12') {
    return await loadPkcs12({
      file: place.file,
      password: place.password === null ? new Secret('') : await existingPassword(place.password, place.file),
    });
  }
  const { key: keyFile, certificate: certificateFile, passphrase: source } = place;
  const passphrase = source === null ? null : await existingPassword(source, keyFile);
  return await loadPemKey({ keyFile, certificateFile, passphrase });
}

function placeOf(place: FileSource): string {
  return place.kind === 'pkcs12' ? place.file : place.key;
}

/** Who reads the file has the key already: files allow what their permissions do. */
function fromFile(name: string, withKey: boolean, keys: readonly LoadedKey[], place: string): ExportableKey {
  const named = (key: LoadedKey): string[] => [
    key.label,
    key.label.slice(place.length + 1),
    ...key.certificate.mailboxes,
  ];
  const found = keys.length === 1 ? keys[0] : keys.find((key) => named(key).includes(name));
  if (found === undefined)
    throw absent(
      name,
      keys.map((key) => named(key)[1] ?? key.label),
    );
  const { certificate, chain, privateKey } = found;
  return {
    ...{ name, place, certificate, chain, privateKey: withKey ? privateKey : null },
    remove: null,
    close: () => undefined,
  };
}

function absent(name: string, names: readonly string[]): SealgateError {
  return new SealgateError({
    code: 'key.absent',
    duration: 'permanent',
    publicText: `There is no key “${printable(name)}”; there are: ${names.map(printable).join(', ') || 'none'}.`,
  });
}

function withoutCertificate(name: string): SealgateError {
  return new SealgateError({
    code: 'key.no-certificate',
    duration: 'permanent',
    publicText: `The key ${printable(name)} has no certificate yet: give the one that was issued to “sealgate keys import”.`,
  });
}

import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { SealgateError } from '../../errors.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { chainOf } from '../chain.ts';
import { isSameKey, requireWorkingPair } from '../files/pair-keys.ts';
import type { LoadedKey } from '../loaded-key.ts';
import type { KeyUse } from '../source-kinds.ts';
import {
  fileOf,
  KEY_FILE,
  KEY_NAME,
  MOST_CERTIFICATES,
  type OpenedKeyFile,
  readKeyFile,
  writeKeyFile,
} from './key-file.ts';
import { type ScryptCost, unwrapMasterKey, wrapMasterKey } from './master-key.ts';
import { MASTER_KEY_OCTETS } from './sealing.ts';
import {
  malformedStore,
  nameTaken,
  noCertificateFor,
  noSuchKey,
  notExportable,
  storeAbsent,
  storeClosed,
  storeNotEmpty,
  unusableName,
} from './store-error.ts';
import {
  filesIn,
  makePrivateFolder,
  readStoreFile,
  removeStoreFile,
  requirePrivateFolder,
  writeStoreFile,
} from './store-folder.ts';
import { HEADER_FILE, isAuthenticHeader, readHeader, writeHeader } from './store-header.ts';
import { LOCK_FILE, withLock } from './store-lock.ts';
import type { Unlock } from './unlock.ts';

/**
 * Private keys in a folder, encrypted at rest: `store.json` holds the master key, wrapped; each `NAME.key` holds one key.
 *
 * What holds: nothing in the folder gives a key away without what unlocks the store, and nothing that was changed in it is used.
 * What does not: a whole file that is put back as it once was, or taken away, is not noticed; nor is the whole folder.
 */

/** What is said about a key that is put into the store. */
export type NewKey = {
  /** 1 to 100 of A-Z a-z 0-9 @ . _ + -, not beginning with a dot or a dash; it is the name of a file. */
  name: string;
  /** Whether the store gives it away again. */
  exportable: boolean;
  use: KeyUse;
};

/** A key in the store. Everything here was authenticated. */
export type StoredKey = NewKey & {
  created: Date;
  /** SHA-256 of the SubjectPublicKeyInfo, hexadecimal, as in Operation. */
  key: string;
  publicKey: KeyObject;
  /** null: it was asked for and has not come yet; the key is not used until then. */
  certificate: Certificate | null;
  /** Intermediates, nearest first. */
  chain: readonly Certificate[];
};

export type StoreListing = {
  keys: readonly StoredKey[];
  /** Files that are no keys of this store, or not any more; `file` is a name in the folder. */
  damaged: readonly { file: string; error: SealgateError }[];
};

/** A key store that is open. Writing waits for other writers, at most ten seconds. */
export interface KeyStore {
  readonly folder: string;
  list(): Promise<StoreListing>;
  /** Keys that have a certificate, and the files that are damaged. */
  load(): Promise<{ keys: LoadedKey[]; damaged: StoreListing['damaged'] }>;
  /**
   * @param certificates that of the key and its chain in any order; none: it comes later
   * @throws SealgateError `key.store-name`, `key.store-name-taken`, `key.no-certificate`, `key.store-busy`, `key.store-unwritable`
   */
  add(privateKey: KeyObject, certificates: readonly Certificate[], key: NewKey): Promise<StoredKey>;
  /** @throws SealgateError `key.store-no-such-key`, `key.store-busy`, `key.store-unwritable` */
  remove(name: string): Promise<void>;
  /** @throws SealgateError `key.no-certificate` when none of them is for this key; `key.store-no-such-key` … */
  setCertificate(name: string, certificates: readonly Certificate[]): Promise<StoredKey>;
  /** For a certificate request, and for trying the key. @throws SealgateError `key.store-no-such-key` … */
  signingKeyOf(name: string): Promise<KeyObject>;
  /** @throws SealgateError `key.not-exportable`, `key.store-no-such-key` … */
  exportKey(name: string): Promise<{ stored: StoredKey; privateKey: KeyObject }>;
  /**
   * From now on the store opens with this alone. Whoever has the old secret and an old copy of `store.json` still opens it.
   *
   * @throws SealgateError as `createKeyStore`
   */
  changeUnlock(unlock: Unlock): Promise<void>;
  /** Whether `store.json` is still the one that was opened: another one may be of another store. */
  isCurrent(): Promise<boolean>;
  /** Forgets the master key. */
  close(): void;
}

/**
 * Makes an empty store. The folder is made, or must be empty and belong to this user alone.
 *
 * @param cost of guessing the secret once; for tests, which do it often
 * @throws SealgateError `key.store-not-empty`, `key.store-permissions`, `key.store-unwritable`, `key.store-secret-weak`,
 *   `key.store-key-unusable`
 */
export async function createKeyStore(
  folder: string,
  unlock: Unlock,
  { cost }: { cost?: ScryptCost } = {},
): Promise<KeyStore> {
  await makePrivateFolder(folder);
  return await withLock(folder, async () => {
    if ((await filesIn(folder)).some((name) => name !== LOCK_FILE)) throw storeNotEmpty(folder);
    const master = randomBytes(MASTER_KEY_OCTETS);
    const header = writeHeader(master, new Date().toISOString(), await wrapMasterKey(master, unlock, cost));
    await writeStoreFile(folder, HEADER_FILE, header);
    return new FolderKeyStore(folder, master, header);
  });
}

/**
 * @throws SealgateError `key.store-absent`, `key.store-permissions`, `key.store-malformed`, `key.passphrase-incorrect`,
 *   `key.store-other-unlock` (sealed to a key and opened with a secret, or the other way round, or to another key), and those of the key
 */
export async function openKeyStore(folder: string, unlock: Unlock): Promise<KeyStore> {
  await requirePrivateFolder(folder);
  const octets = await readStoreFile(folder, HEADER_FILE);
  if (octets === null) throw storeAbsent(folder);
  const file = join(folder, HEADER_FILE);
  const header = readHeader(file, octets);
  const master = await unwrapMasterKey(folder, file, header.wrapping, unlock);
  if (!isAuthenticHeader(master, header)) {
    master.fill(0);
    throw malformedStore(file, 'not authentic');
  }
  return new FolderKeyStore(folder, master, octets);
}

class FolderKeyStore implements KeyStore {
  readonly folder: string;
  readonly #master: Buffer;
  #header: Buffer;
  #closed = false;

  constructor(folder: string, master: Buffer, header: Buffer) {
    this.folder = folder;
    this.#master = master;
    this.#header = header;
  }

  async list(): Promise<StoreListing> {
    const { keys, damaged } = await this.#readAll();
    return { keys: keys.map(stored), damaged };
  }

  async load(): Promise<{ keys: LoadedKey[]; damaged: StoreListing['damaged'] }> {
    const { keys, damaged } = await this.#readAll();
    const loaded = keys.flatMap(({ name, use, privateKey, certificates: [certificate, ...chain] }) =>
      certificate === undefined ? [] : [{ label: name, certificate, chain, privateKey, use }],
    );
    return { keys: loaded, damaged };
  }

  add(privateKey: KeyObject, certificates: readonly Certificate[], key: NewKey): Promise<StoredKey> {
    if (!KEY_NAME.test(key.name)) return Promise.reject(unusableName());
    return this.#write(async (master) => {
      const { name, exportable, use } = key;
      if ((await readStoreFile(this.folder, fileOf(name))) !== null) throw nameTaken(name);
      const path = pathFor(privateKey, certificates);
      const created = new Date().toISOString();
      const octets = writeKeyFile(master, { name, exportable, use, created, certificates: path, privateKey });
      await writeStoreFile(this.folder, fileOf(name), octets);
      return await this.#storedNow(name);
    });
  }

  remove(name: string): Promise<void> {
    return this.#write(async () => {
      // A damaged one too, or nobody would get rid of it.
      if (!KEY_NAME.test(name)) throw noSuchKey(name);
      if (!(await filesIn(this.folder)).includes(fileOf(name))) throw noSuchKey(name);
      await removeStoreFile(this.folder, fileOf(name));
    });
  }

  setCertificate(name: string, certificates: readonly Certificate[]): Promise<StoredKey> {
    return this.#write(async (master) => {
      const { privateKey, created, exportable, use } = await this.#read(name);
      if (certificates.length === 0) throw noCertificateFor(name);
      const path = pathFor(privateKey, certificates);
      const octets = writeKeyFile(master, { name, exportable, use, created, certificates: path, privateKey });
      await writeStoreFile(this.folder, fileOf(name), octets);
      return await this.#storedNow(name);
    });
  }

  async signingKeyOf(name: string): Promise<KeyObject> {
    return (await this.#read(name)).privateKey;
  }

  async exportKey(name: string): Promise<{ stored: StoredKey; privateKey: KeyObject }> {
    const file = await this.#read(name);
    if (!file.exportable) throw notExportable(name);
    return { stored: stored(file), privateKey: file.privateKey };
  }

  changeUnlock(unlock: Unlock): Promise<void> {
    return this.#write(async (master) => {
      const { created } = readHeader(join(this.folder, HEADER_FILE), this.#header);
      const header = writeHeader(master, created, await wrapMasterKey(master, unlock));
      await writeStoreFile(this.folder, HEADER_FILE, header);
      this.#header = header;
    });
  }

  async isCurrent(): Promise<boolean> {
    return (await readStoreFile(this.folder, HEADER_FILE))?.equals(this.#header) ?? false;
  }

  close(): void {
    this.#closed = true;
    this.#master.fill(0);
  }

  /** Under the lock, and on this store: another one may have been put into the folder since. */
  #write<T>(step: (master: Buffer) => Promise<T>): Promise<T> {
    return withLock(this.folder, async () => {
      const master = this.#key();
      const octets = await readStoreFile(this.folder, HEADER_FILE);
      const file = join(this.folder, HEADER_FILE);
      if (octets === null || !isAuthenticHeader(master, readHeader(file, octets))) {
        throw malformedStore(file, 'no longer of the store that was opened');
      }
      return await step(master);
    });
  }

  #key(): Buffer {
    if (this.#closed) throw storeClosed();
    return this.#master;
  }

  async #storedNow(name: string): Promise<StoredKey> {
    return stored(await this.#read(name));
  }

  async #read(name: string): Promise<OpenedKeyFile> {
    const master = this.#key();
    const octets = KEY_NAME.test(name) ? await readStoreFile(this.folder, fileOf(name)) : null;
    if (octets === null) throw noSuchKey(name);
    return readKeyFile(master, join(this.folder, fileOf(name)), name, octets);
  }

  async #readAll(): Promise<{ keys: OpenedKeyFile[]; damaged: { file: string; error: SealgateError }[] }> {
    await requirePrivateFolder(this.folder);
    const keys: OpenedKeyFile[] = [];
    const damaged: { file: string; error: SealgateError }[] = [];
    for (const file of await filesIn(this.folder)) {
      const name = KEY_FILE.exec(file)?.[1];
      if (name === undefined) continue;
      try {
        keys.push(await this.#read(name));
      } catch (error) {
        if (!(error instanceof SealgateError)) throw error;
        // Taken away between the two readings.
        if (error.code === 'key.store-no-such-key' && KEY_NAME.test(name)) continue;
        damaged.push({ file, error });
      }
    }
    return { keys, damaged };
  }
}

function stored(file: OpenedKeyFile): StoredKey {
  const { name, exportable, use, created, key, publicKey } = file;
  const [certificate = null, ...chain] = file.certificates;
  return { name, exportable, use, created: new Date(created), key, publicKey, certificate, chain };
}

/** The key's own certificate, the newest where there are several, and its chain. @throws SealgateError `key.no-certificate`, `key.file-malformed` */
function pathFor(privateKey: KeyObject, certificates: readonly Certificate[]): readonly Certificate[] {
  if (certificates.length === 0) return [];
  const publicKey = createPublicKey(privateKey);
  const own = certificates
    .filter((each) => isSameKey(each, publicKey))
    .sort((one, other) => other.notBefore.getTime() - one.notBefore.getTime());
  const [certificate = certificates[0]] = own;
  if (certificate === undefined) return [];
  requireWorkingPair(privateKey, certificate);
  return [certificate, ...chainOf(certificate, certificates)].slice(0, MOST_CERTIFICATES);
}

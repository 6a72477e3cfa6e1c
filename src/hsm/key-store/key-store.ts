import type { KeyObject } from 'node:crypto';
import type { SealgateError } from '../../errors.ts';
import type { Certificate } from '../../pki/certificate.ts';
import type { LoadedKey } from '../loaded-key.ts';
import type { KeyUse } from '../source-kinds.ts';
import type { Unlock } from './unlock.ts';

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
  /** From now on the store opens with this alone. Whoever has the old secret and an old copy of `store.json` still opens it. */
  changeUnlock(unlock: Unlock): Promise<void>;
  /** Forgets the master key. */
  close(): void;
}

/**
 * Makes an empty store. The folder is made, or must be empty and belong to this user alone.
 *
 * @throws SealgateError `key.store-not-empty`, `key.store-permissions`, `key.store-unwritable`, `key.store-secret-weak`
 */
export async function createKeyStore(folder: string, unlock: Unlock): Promise<KeyStore> {
  throw new Error(`${folder} ${'key' in unlock}`);
}

/**
 * @throws SealgateError `key.store-absent`, `key.store-permissions`, `key.store-malformed`, `key.passphrase-incorrect`,
 *   `key.store-other-unlock` (sealed to a key and opened with a secret, or the other way round, or to another key), and those of the key
 */
export async function openKeyStore(folder: string, unlock: Unlock): Promise<KeyStore> {
  throw new Error(`${folder} ${'key' in unlock}`);
}

import { SealgateError, unreachable } from '../../errors.ts';
import { Secret } from '../../log/secret.ts';
import { loadPemKey } from '../files/pem-key.ts';
import { loadPkcs12 } from '../files/pkcs12-key.ts';
import { type KeyStore, openKeyStore } from '../key-store/key-store.ts';
import type { TokenKeyOpener } from '../key-store/unlock.ts';
import type { LoadedKey } from '../loaded-key.ts';
import type { PinOutcome } from '../pin/pin-prompt.ts';
import type { SecretSource, SoftwareSource, StoreUnlock } from '../source-kinds.ts';

export { watchKeyFiles } from './watch-key-files.ts';

/**
 * Key files and key stores as a key process has them: opened once, read again whenever they change.
 *
 * What holds: what cannot be read takes away no key that was there before.
 */

/** What the key process lends: how secrets are read, and how a token's key is used that a key store is sealed to. */
export type SoftwareAccess = {
  /** The PIN is overwritten after use. */
  readSecret(source: SecretSource): PinOutcome | Promise<PinOutcome>;
  openTokenKey: TokenKeyOpener;
};

/** Key files that are open: what they held when they were last read well. */
export interface SoftwareKeySource {
  /** Changes with `reload` only. */
  readonly keys: readonly LoadedKey[];
  /** Key files of a store that are damaged; the others are in `keys`, and of a damaged one the key it had before. */
  readonly problems: readonly SealgateError[];
  /**
   * Reads everything again. What cannot be read leaves the keys as they are.
   *
   * @returns whether `keys` are others than before
   * @throws SealgateError when nothing could be read at all: `key.file-unreadable`, `key.passphrase-incorrect` …
   */
  reload(): Promise<boolean>;
}

/**
 * Opens a key file or a key store.
 *
 * @throws SealgateError `key.file-unreadable`, `key.file-permissions`, `key.passphrase-incorrect`, `key.passphrase-missing`,
 *   `key.file-malformed`, `key.file-unsupported`, `key.no-certificate`, `key.store-…`, and of the secret `key.secret-unreadable`
 */
export async function openSoftwareSource(
  source: SoftwareSource,
  access: SoftwareAccess,
): Promise<SoftwareKeySource> {
  const opened =
    source.kind === 'store'
      ? new StoreSource(source, access)
      : new FileSource(() => loadFile(source, access));
  await opened.reload();
  return opened;
}

type FileOfKeys = Exclude<SoftwareSource, { kind: 'store' }>;

async function loadFile(source: FileOfKeys, access: SoftwareAccess): Promise<LoadedKey[]> {
  switch (source.kind) {
    case 'pkcs12':
      return await loadPkcs12({
        file: source.file,
        password: source.password === null ? new Secret('') : await secretOf(source.password, access),
        name: '',
      });
    case 'pem':
      return await loadPemKey({
        keyFile: source.key,
        certificateFile: source.certificate,
        passphrase: source.passphrase === null ? null : await secretOf(source.passphrase, access),
        name: '',
      });
    default:
      return unreachable(source);
  }
}

class FileSource implements SoftwareKeySource {
  readonly problems = [];
  readonly #load: () => Promise<LoadedKey[]>;
  #keys: readonly LoadedKey[] = [];

  constructor(load: () => Promise<LoadedKey[]>) {
    this.#load = load;
  }

  get keys(): readonly LoadedKey[] {
    return this.#keys;
  }

  async reload(): Promise<boolean> {
    const before = identityOf(this.#keys);
    this.#keys = await this.#load();
    return identityOf(this.#keys) !== before;
  }
}

class StoreSource implements SoftwareKeySource {
  readonly #source: SoftwareSource & { kind: 'store' };
  readonly #access: SoftwareAccess;
  #store: KeyStore | null = null;
  #keys: readonly LoadedKey[] = [];
  #problems: readonly SealgateError[] = [];

  constructor(source: SoftwareSource & { kind: 'store' }, access: SoftwareAccess) {
    this.#source = source;
    this.#access = access;
  }

  get keys(): readonly LoadedKey[] {
    return this.#keys;
  }

  get problems(): readonly SealgateError[] {
    return this.#problems;
  }

  async reload(): Promise<boolean> {
    const before = identityOf(this.#keys);
    const { keys, damaged } = await (await this.#current()).load();
    const lost = new Set(damaged.map(({ file }) => file.replace(/\.key$/, '')));
    const read = new Set(keys.map(({ label }) => label));
    const kept = this.#keys.filter(({ label }) => lost.has(label) && !read.has(label));
    this.#keys = [...keys, ...kept];
    this.#problems = damaged.map(({ error }) => error);
    return identityOf(this.#keys) !== before;
  }

  /** The store that is in the folder now: another one may have been put there. */
  async #current(): Promise<KeyStore> {
    const store = this.#store;
    if (store !== null && (await store.isCurrent())) return store;
    const opened = await this.#open(this.#source.unlock);
    store?.close();
    this.#store = opened;
    return opened;
  }

  async #open(unlock: StoreUnlock): Promise<KeyStore> {
    const { folder } = this.#source;
    if (!('token' in unlock)) {
      return await openKeyStore(folder, { secret: await secretOf(unlock, this.#access) });
    }
    const { key, close } = await this.#access.openTokenKey(unlock.token, unlock.label);
    try {
      return await openKeyStore(folder, { key });
    } finally {
      await close();
    }
  }
}

async function secretOf(source: SecretSource, access: SoftwareAccess): Promise<Secret> {
  const outcome = await access.readSecret(source);
  if (outcome.kind !== 'pin') {
    throw new SealgateError({
      code: 'key.secret-unreadable',
      publicText: outcome.publicText,
      duration: outcome.kind === 'unavailable' ? outcome.duration : 'temporary',
    });
  }
  const secret = new Secret(outcome.pin.toString('utf8'));
  outcome.pin.fill(0);
  return secret;
}

/** Equal for the same keys with the same certificates and the same say about them. */
function identityOf(keys: readonly LoadedKey[]): string {
  const each = keys.map(({ label, certificate, chain, use }) => [
    label,
    certificate.fingerprint,
    chain.map(({ fingerprint }) => fingerprint),
    use ?? '',
  ]);
  return JSON.stringify(each.sort());
}

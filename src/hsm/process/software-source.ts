import type { SealgateError } from '../../errors.ts';
import type { TokenKeyOpener } from '../key-store/unlock.ts';
import type { LoadedKey } from '../loaded-key.ts';
import type { PinOutcome } from '../pin/pin-prompt.ts';
import type { SecretSource, SoftwareSource } from '../source-kinds.ts';

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
  throw new Error(`${source.kind} ${typeof access.readSecret}`);
}

/**
 * Says when files of the source have changed, those of secrets too: once for many changes at once. The files are not read.
 *
 * @param changed is called on the event loop; reload then
 * @returns ends the watching
 */
export function watchKeyFiles(source: SoftwareSource, changed: () => void): () => void {
  throw new Error(`${source.kind} ${typeof changed}`);
}

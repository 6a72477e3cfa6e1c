import type { DecryptionKey } from '../../cms/keys.ts';
import type { Secret } from '../../log/secret.ts';
import type { TokenSource } from '../source-kinds.ts';

/** What opens a key store: a secret; or a key for decryption, whose certificate it is sealed to. */
export type Unlock = { secret: Secret } | { key: DecryptionKey };

/**
 * The decryption key of a token, for as long as the key store is being opened.
 *
 * @param label CKA_LABEL; null: the only key there that can open
 */
export type TokenKeyOpener = (
  token: TokenSource,
  label: string | null,
) => Promise<{ key: DecryptionKey; close(): Promise<void> }>;

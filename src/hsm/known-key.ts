import type { DecryptionKey, SigningKey } from '../cms/keys.ts';

/**
 * How near a key is: `open` works at once, `starting` soon, `locked` asks a person for a PIN first, `away` fails with
 * `key.unavailable`.
 */
export type KeyStanding = 'open' | 'starting' | 'locked' | 'away';

/** What the keyring needs to know of a key besides what CMS does. */
export type KnownKey = {
  /** Name of the key's source in the configuration. */
  readonly source: string;
  /** The token's or file's own word for it; not unique, may be empty. */
  readonly name: string;
  /** Changes while the key is in somebody's hands. */
  readonly standing: KeyStanding;
  /** null: one of `sign` and `decrypt` only where the configuration says so (`use`). */
  readonly use: 'sign' | 'decrypt' | null;
};

export type KnownSigningKey = SigningKey & KnownKey;
export type KnownDecryptionKey = DecryptionKey & KnownKey;

const NEARNESS: Readonly<Record<KeyStanding, number>> = { open: 0, starting: 1, locked: 2, away: 3 };

/** Sorts the nearest first. */
export function nearestFirst(one: { standing: KeyStanding }, other: { standing: KeyStanding }): number {
  return NEARNESS[one.standing] - NEARNESS[other.standing];
}

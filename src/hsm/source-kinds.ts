/**
 * Where private keys are, as the configuration names it. No secret is in here, only where one is: passwords and PINs are
 * read in the key process, and the gateway's own process never holds one.
 */

/** A file with the secret in its only line, closed to others; or an environment variable. */
export type SecretSource = { file: string } | { env: string };

/** `ask`: a person types the PIN when a key is used first, and again after the token was taken away. */
export type PinSource =
  | SecretSource
  /** `program`: absolute path; null: the first pinentry on PATH. */
  | { ask: 'pinentry'; program: string | null }
  /** On the terminal the gateway was started from. */
  | { ask: 'console' };

/** Which token is meant: every member that is not null must fit (CK_TOKEN_INFO, CK_SLOT_INFO). All null: any token. */
export type TokenSelector = {
  label: string | null;
  serial: string | null;
  model: string | null;
  manufacturer: string | null;
  /** Name of the reader: slotDescription. */
  reader: string | null;
};

/** Which objects of a token are meant (RFC 7512 `object`, `id`); null: all. `id` is CKA_ID, hexadecimal. */
export type ObjectSelector = { object: string | null; id: string | null };

export type TokenSource = {
  kind: 'token';
  /** Absolute path of the vendor's PKCS#11 library. */
  module: string;
  /** What the module needs of an environment, besides locale and home. */
  environment: Readonly<Record<string, string>>;
  /**
   * Passed to C_Initialize, for modules that take where their keys are from there and from nowhere else (NSS softokn:
   * `configdir='sql:/folder' certPrefix='' keyPrefix='' secmod='' flags=noModDB`). Absent: none.
   */
  initArgs?: string;
  token: TokenSelector;
  objects: ObjectSelector;
  pin: PinSource;
  /** A card: may be out at the start, comes and goes. Otherwise it must be there at the start. */
  removable: boolean;
  /** Operations inside the token at the same time, 1 to 64. */
  sessions: number;
  /** PEM or DER files: certificates whose private keys are on the token while they themselves are not. */
  certificates: readonly string[];
};

export type SoftwareSource =
  /** `password` null: the empty one. */
  | { kind: 'pkcs12'; file: string; password: SecretSource | null }
  /** `certificate` may be the file of the key itself. */
  | { kind: 'pem'; key: string; certificate: string; passphrase: SecretSource | null }
  | { kind: 'store'; folder: string; unlock: StoreUnlock };

/** What opens a key store: a secret, or a decryption key on a token (`label`: CKA_LABEL; null: the only one there). */
export type StoreUnlock = SecretSource | { token: TokenSource; label: string | null };

/** `decrypt` is for archived keys: they open old mail and sign nothing. */
export type KeyUse = 'sign-and-decrypt' | 'sign' | 'decrypt';

/** One entry of `keys` in the configuration. Keys are called `name`, or `name/label` where there may be several. */
export type KeySource = {
  name: string;
  use: KeyUse;
  /** Uses of one key in a minute, by everybody together; further ones are refused for now. null: no limit. */
  usesPerMinute: number | null;
  /** More than one: tokens that hold the same identities; they share the load and stand in for each other. */
  places: readonly (TokenSource | SoftwareSource)[];
};

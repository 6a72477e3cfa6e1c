import type { Failure, Open, Operation, TokenDescription } from '../token-messages.ts';

/**
 * What passes between the main thread of a key process and the threads that call the module. Both are ours and in one
 * process, so nothing is checked.
 */

/** Where a private key is in this process's view of the token; valid in all sessions of the process. */
export type KeyHandle = {
  object: Uint8Array;
  type: 'rsa' | 'ec';
  /** Length of the modulus, or of a coordinate of the curve. */
  octets: number;
  /** CKA_ALWAYS_AUTHENTICATE: the PIN is sent for each use. */
  alwaysAuthenticate: boolean;
};

/** What the leading thread found and the others need. */
export type Shared = {
  module: string;
  pin: string;
  slot: Uint8Array;
  label: string;
  keys: ReadonlyMap<string, KeyHandle>;
  mechanisms: readonly number[];
};

export type ToThread =
  /** For one thread: initialise the module, find the token, log in, read the objects. */
  | { kind: 'lead'; open: Open }
  /** For the others: a further session of the token that is logged in already. */
  | { kind: 'join'; shared: Shared }
  | { kind: 'perform'; id: number; operation: Operation }
  /** For the leading thread, when no other runs any more: log out and release the token. */
  | { kind: 'finalize' };

export type FromThread =
  | { kind: 'login-attempted' }
  /** `concurrent` false: the module is not made for several threads. */
  | { kind: 'led'; token: TokenDescription; shared: Shared; concurrent: boolean }
  | { kind: 'joined' }
  | { kind: 'open-failed'; failure: Failure }
  | { kind: 'done'; id: number; octets: Uint8Array }
  | { kind: 'failed'; id: number; failure: Failure }
  | { kind: 'finalized' };

/** What a thread is started with, so that importing its file elsewhere does nothing. */
export const KEY_THREAD = 'sealgate-key-thread';

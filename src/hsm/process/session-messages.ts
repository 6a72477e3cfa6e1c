import type { Failure } from '../messages.ts';
import type { KeyHandle } from './key-handle.ts';
import type { KeyOperator } from './key-operator.ts';
import type { SoftwareThreadKey } from './software-inventory.ts';

/**
 * What passes between the main thread of a key process and a session thread. Both are ours and in one process, so nothing is
 * checked.
 */

/** What a thread is started with, so that importing its file elsewhere does nothing. */
export const SESSION_THREAD = 'sealgate-session-thread';

export type SessionThreadData = {
  thread: typeof SESSION_THREAD;
  kind: 'token' | 'software';
  /** File descriptor of its pipe. */
  pipe: number;
};

export type TokenWork = {
  kind: 'token';
  module: string;
  slot: Uint8Array;
  label: string;
  /** A session that the thread takes over; null: it opens one. */
  session: Uint8Array | null;
  handles: ReadonlyMap<string, KeyHandle>;
  removable: boolean;
  /** UTF-8; only where a key asks for it at each use. null: it does not, or is typed on the reader. */
  pin: Uint8Array | null;
};

export type SoftwareWork = { kind: 'software'; keys: readonly SoftwareThreadKey[] };

/** What a thread works with; sent once to begin, and again when the keys have changed. */
export type Work = TokenWork | SoftwareWork;

/** What does the work in a session thread. */
export interface SessionWorker extends KeyOperator {
  /** The keys are others now. */
  renew(work: Work): void;
}

export type FromSessionThread =
  /** It serves its pipe from now on. */
  | { kind: 'ready' }
  /** It cannot: the token allows no further session. */
  | { kind: 'unfit'; failure: Failure }
  /** The token has lost the session, or refuses the PIN; the thread does nothing any more. */
  | { kind: 'over'; failure: Failure };

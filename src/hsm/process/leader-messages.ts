import type { Inventory } from '../inventory.ts';
import type { Failure } from '../messages.ts';
import type { ObjectSelector, TokenSelector } from '../source-kinds.ts';
import type { KeyHandle } from './key-handle.ts';
import type { TokenDescription } from './token-slot.ts';
import type { ExpectedCard } from './token-words.ts';

/**
 * What passes between the main thread of a key process and its leading thread: one call at a time, and its answer. Both are ours
 * and in one process, so nothing is checked.
 */

/** What a thread is started with, so that importing its file elsewhere does nothing. */
export const LEADING_THREAD = 'sealgate-leading-thread';

export type LeaderCall =
  /** Loads and initialises the module. `certificates`: paths. */
  | { call: 'load'; module: string; initArgs: string | null; certificates: readonly string[] }
  /** Finds the token and opens a session with it. */
  | { call: 'find'; selector: TokenSelector; card: ExpectedCard | null }
  | { call: 'read'; objects: ObjectSelector; stage: Inventory['seen'] }
  /** `pin` null: it is typed on the reader. */
  | { call: 'login'; pin: Uint8Array | null; lastTryToo: boolean }
  /** Whether the token is still there, and the same. */
  | { call: 'look' }
  | { call: 'describe' }
  /** Gives the session away: from now on only a session thread uses it. */
  | { call: 'hand-over' }
  /** Logs out and releases the module, when no session thread is inside it any more. */
  | { call: 'finish' };

export type LeaderAnswers = {
  load: { concurrent: boolean };
  find: { slot: Uint8Array; description: TokenDescription; loginRequired: boolean; pinPad: boolean };
  read: { inventory: Inventory; handles: ReadonlyMap<string, KeyHandle> };
  login: null;
  look: boolean;
  /** null: the token does not answer. */
  describe: TokenDescription | null;
  'hand-over': Uint8Array;
  finish: null;
};

export type LeaderAnswer =
  | { kind: 'answer'; answer: LeaderAnswers[keyof LeaderAnswers] }
  | { kind: 'failed'; failure: Failure };

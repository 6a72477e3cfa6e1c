import type { Inventory } from './inventory.ts';
import type { Failure } from './messages.ts';
import type { Operation } from './operation.ts';

/** How one place of keys (a token, a key file, a key store) stands. */
export type KeyState =
  /** The first key process is still opening it. */
  | { kind: 'starting' }
  /**
   * The token is out, its module or its service away, the file cannot be read; looked for all the time. `failure` is what every
   * request gets, at once; `permanent` says that a person has to correct something first.
   */
  | { kind: 'absent'; failure: Failure; last: Inventory | null }
  /** The token is there; a person is asked for the PIN when a key is used. */
  | { kind: 'locked'; inventory: Inventory }
  /** Also while a key process that has died is replaced: requests wait for their turn meanwhile. */
  | { kind: 'open'; inventory: Inventory }
  /** The PIN or password is not right, or the token is blocked: nothing is tried until the secret or the token changes. */
  | { kind: 'refused'; failure: Failure; last: Inventory | null }
  | { kind: 'closed' };

/** The gateway's side of one key process, as key-sources.ts uses it; implemented by client/key-client.ts. */
export interface KeyPlace {
  readonly state: KeyState;
  /** Called at every change of `state`; a change of the inventory is one. */
  onChange(listener: () => void): void;
  /** Settles when the first opening has ended in any state but `starting`. Never rejects. */
  readonly settled: Promise<void>;
  /**
   * Keys are named as in `Operation`. Waits while the place is starting, being replaced, or a person is asked for the PIN.
   *
   * @throws SealgateError `key.unavailable`, `key.refused`, `key.decrypt-failed`, `key.pin-incorrect`, `key.pin-locked`,
   *   `key.pin-last-try`, `key.pin-needed`, and while the place is absent or refused that failure
   */
  perform(operation: Operation): Promise<Buffer>;
  /**
   * Reads key files and key store again, and a token's objects. What cannot be read leaves the keys as they are. A place that is
   * absent or refused is tried at once.
   *
   * @throws SealgateError of the file
   */
  reload(): Promise<void>;
  /** Requests inside and waiting: for choosing among several places. */
  readonly load: number;
  /** null while no key process runs; for supervision and tests. */
  readonly processId: number | null;
  /** Counts the key processes: a key's first signature by each is checked against its certificate. */
  readonly generation: number;
  /** Logs out and ends the key process. */
  close(): Promise<void>;
}

/**
 * Which secrets a token has refused, or may have: they are not sent again. An identity says which secret is meant without a word
 * of it (messages.ts) and changes when the file changes. Kept over a restart of the gateway.
 */
export interface Refusals {
  has(identity: string): boolean | Promise<boolean>;
  add(identity: string): void | Promise<void>;
}

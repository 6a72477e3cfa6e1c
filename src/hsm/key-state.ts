import type { Inventory } from './inventory.ts';
import type { Failure } from './messages.ts';
import type { Operation } from './operation.ts';

/** How one place of keys (a token, a key file, a key store) stands. */
export type KeyState =
  /** The first key process is still opening it. */
  | { kind: 'starting' }
  /** The token is out, its module or its service away; looked for all the time. */
  | { kind: 'absent'; failure: Failure; last: Inventory | null }
  /** The token is there; a person is asked for the PIN when a key is used. */
  | { kind: 'locked'; inventory: Inventory }
  | { kind: 'open'; inventory: Inventory }
  /** The PIN or password is not right, or the token is blocked: nothing is tried until the secret or the token changes. */
  | { kind: 'refused'; failure: Failure; last: Inventory | null }
  | { kind: 'closed' };

/** The gateway's side of one key process, as key-sources.ts uses it; implemented by client/key-client.ts. */
export interface KeyPlace {
  readonly state: KeyState;
  /** Called at every change of `state`. */
  onChange(listener: () => void): void;
  /** Settles when the first opening has ended in any state but `starting`. Never rejects. */
  readonly settled: Promise<void>;
  /** @throws SealgateError `key.unavailable`, `key.refused`, `key.decrypt-failed`, `key.pin-incorrect`, `key.pin-locked`, `key.pin-needed` */
  perform(operation: Operation): Promise<Buffer>;
  /** Reads key files and key store again. What cannot be read leaves the keys as they are. @throws SealgateError of the file */
  reload(): Promise<void>;
  /** Requests inside and waiting: for choosing among several places. */
  readonly load: number;
  /** Logs out and ends the key process. */
  close(): Promise<void>;
}

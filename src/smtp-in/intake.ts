import type { Step } from './conversation.ts';

/** What became of octets that are no commands. */
export type Intaken =
  /** More has to come. `ready`: not before it resolves, which it always does; null: at once. */
  | { kind: 'more'; ready: Promise<void> | null }
  /** `rest` is what stands behind them. */
  | { kind: 'end'; rest: Buffer }
  /** So much that they are not waited for any longer. */
  | { kind: 'too-much' };

/** Takes the octets that follow a command and are no commands: a message, or a part of one. */
export interface Intake {
  push(chunk: Buffer): Intaken;
  /** To be called once, after `end`. */
  done(): Promise<Step>;
  /** Its session is over. */
  discard(): void;
}

export const MORE: Intaken = { kind: 'more', ready: null };

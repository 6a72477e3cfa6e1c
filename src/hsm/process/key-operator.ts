import type { Operation } from '../operation.ts';

/** What a session thread does its requests with: one implementation for tokens, one for keys from files. */
export interface KeyOperator {
  /** Blocks the thread until it is done. @throws FailureError */
  perform(operation: Operation): Buffer;
}

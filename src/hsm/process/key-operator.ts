import type pkcs11 from 'pkcs11js';
import type { Operation } from '../operation.ts';

/** What a session thread does its requests with: one implementation for tokens, one for keys from files. */
export interface KeyOperator {
  /** Blocks the thread until it is done. @throws FailureError */
  perform(operation: Operation): Buffer;
}

/** A session with a token that is logged in. `session` changes when the thread had to open a new one: read it for each call. */
export type TokenSession = {
  readonly module: pkcs11.PKCS11;
  readonly session: Buffer;
  /** Sends the PIN again for a key that asks for it at each use (CKA_ALWAYS_AUTHENTICATE). @throws FailureError */
  authenticate(): void;
};

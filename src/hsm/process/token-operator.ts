import type pkcs11 from 'pkcs11js';
import { FailureError, refused } from '../failures.ts';
import type { Operation } from '../operation.ts';
import type { KeyHandle } from './key-handle.ts';

export type TokenOperatorOptions = {
  module: pkcs11.PKCS11;
  /** Logged in, where the token wants that. The operator replaces it when an operation was left unfinished in it. */
  session: Buffer;
  handles: ReadonlyMap<string, KeyHandle>;
  /**
   * Sends the PIN again (CKU_CONTEXT_SPECIFIC) for a key that asks for it at each use.
   *
   * @throws FailureError
   */
  authenticate(session: Buffer): void;
};

/** Uses the private keys of a token in one session; every call blocks its thread until the token has answered. */
export class TokenOperator {
  readonly #options: TokenOperatorOptions;

  constructor(options: TokenOperatorOptions) {
    this.#options = options;
  }

  /** @throws FailureError; with `sessionLost` when nothing more can be done in this process */
  perform(operation: Operation): Buffer {
    throw new FailureError(refused(`${operation.kind} in ${this.#options.handles.size} keys`));
  }
}

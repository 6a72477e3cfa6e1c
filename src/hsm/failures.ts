import { SealgateError } from '../errors.ts';
import type { Failure } from './messages.ts';

/** Failures of keys, in words that a mail user or an operator understands. The private reason goes to the log. */

export function refused(reason: string): Failure {
  return {
    code: 'key.refused',
    publicText: 'The key does not allow this use; ask the operator to choose another key or algorithm.',
    duration: 'permanent',
    reason,
    sessionLost: false,
  };
}

export function decryptFailed(reason: string): Failure {
  return {
    code: 'key.decrypt-failed',
    publicText: 'The message could not be decrypted with this key.',
    duration: 'permanent',
    reason,
    sessionLost: false,
  };
}

export function unavailable(publicText: string, reason: string, sessionLost: boolean): Failure {
  return { code: 'key.unavailable', publicText, duration: 'temporary', reason, sessionLost };
}

/** Carries a Failure through code that throws. */
export class FailureError extends Error {
  override readonly name = 'FailureError';
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.publicText);
    this.failure = failure;
  }
}

export function errorOf(failure: Failure): SealgateError {
  const { code, publicText, duration, reason } = failure;
  return new SealgateError({ code, publicText, duration, reason });
}

import { expect } from 'vitest';
import { SealgateError } from '../../../src/errors.ts';

/** The SealgateError a promise is rejected with. */
export async function refusal(promise: Promise<unknown>): Promise<SealgateError> {
  const outcome = await promise.then(
    () => 'it was not refused',
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(SealgateError);
  return outcome as SealgateError;
}

/** Code and duration of the SealgateError a promise is rejected with. */
export async function codeOf(promise: Promise<unknown>): Promise<[string, string]> {
  const { code, duration } = await refusal(promise);
  return [code, duration];
}

export function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('missing in the test');
  return value;
}

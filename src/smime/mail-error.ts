import { SealgateError } from '../errors.ts';

/** Not readable as mail, by a bound or an encoding. */
export function isMailError(error: unknown): boolean {
  return error instanceof SealgateError && error.code.startsWith('mail.');
}

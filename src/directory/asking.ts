import { SealgateError } from '../errors.ts';

/** Whatever the database throws is `directory.unavailable` (temporary) to those who ask the directory. */
export async function askingDirectory<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof SealgateError && error.code.startsWith('directory.')) throw error;
    throw directoryUnavailable(error);
  }
}

export function directoryUnavailable(cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'directory.unavailable',
    publicText: 'The directory of certificates cannot be asked just now.',
    duration: 'temporary',
    ...(cause === undefined ? {} : { reason: cause instanceof Error ? cause.message : String(cause), cause }),
  });
}

export function directoryBusy(): SealgateError {
  return new SealgateError({
    code: 'directory.unavailable',
    publicText: 'The directory of certificates is busy.',
    duration: 'temporary',
  });
}

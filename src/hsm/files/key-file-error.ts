import { SealgateError } from '../../errors.ts';

/** What can be wrong with a key file. Parsers throw these without knowing the file; loaders add its name. */

export function passphraseIncorrect(): SealgateError {
  return new SealgateError({
    code: 'key.passphrase-incorrect',
    publicText: 'The password is not the right one, or the file is damaged; correct the password.',
    duration: 'permanent',
  });
}

/** A password for a new file. */
export function passphraseUnusable(): SealgateError {
  return new SealgateError({
    code: 'key.passphrase-unusable',
    publicText:
      'The password cannot be used: it is longer than 1,024 characters or holds characters that programs do not agree on; choose another one.',
    duration: 'permanent',
  });
}

/** @param count of keys for one new file */
export function tooManyKeys(count: number): SealgateError {
  return new SealgateError({
    code: 'key.too-many',
    publicText:
      count === 0
        ? 'There is no key to write into the file.'
        : `${count} keys are too many for one file; write them into several.`,
    duration: 'permanent',
  });
}

/** @param reason for the log: what was found and what was expected; nothing of the content */
export function malformedKeyFile(reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'key.file-malformed',
    publicText: 'The file is damaged or not of the expected kind; export the key again.',
    duration: 'permanent',
    reason,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** @param what the algorithm or form, for people */
export function unsupportedKeyFile(what: string): SealgateError {
  return new SealgateError({
    code: 'key.file-unsupported',
    publicText: `The file uses ${what}, which is not supported; export the key again with current software.`,
    duration: 'permanent',
  });
}

/**
 * Runs a step of loading and puts the file's name in front of what it complains about. Everything that is not a
 * SealgateError of a key file becomes `key.file-malformed`: a foreign file must never crash the gateway.
 */
export async function about<T>(file: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const known =
      error instanceof SealgateError && error.code.startsWith('key.')
        ? error
        : malformedKeyFile(String(error), error);
    throw new SealgateError({
      code: known.code,
      publicText: `${file}: ${known.publicText}`,
      duration: known.duration,
      ...(known.reason === null ? {} : { reason: known.reason }),
      cause: error,
    });
  }
}

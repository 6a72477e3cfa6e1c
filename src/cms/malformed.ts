import { SealgateError } from '../errors.ts';

/**
 * The one error for octets that are not CMS as the standard has it.
 *
 * @param reason what was found, in the standard's words; never octets of the input
 */
export function malformed(reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'cms.malformed',
    publicText:
      'The protected part of the message is damaged and cannot be read; ask the sender to send it again.',
    duration: 'permanent',
    reason,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Whether an error says that octets could not be read, here or in the layers below. */
export function isUnreadable(error: unknown): error is SealgateError {
  return (
    error instanceof SealgateError &&
    (error.code === 'cms.malformed' || error.code === 'asn1.malformed' || error.code === 'pki.malformed')
  );
}

/** What a reader gives; null for octets that could not be read. */
export function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (isUnreadable(error)) return null;
    throw error;
  }
}

/**
 * Runs a reader; what it throws of the layers below becomes `cms.malformed`, with the cause kept.
 *
 * @param what the structure that is read, by its name in the standard
 */
export function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw asOurs(what, error);
  }
}

/** The same for what is read from a stream. */
export async function readingStream<T>(what: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw asOurs(what, error);
  }
}

function asOurs(what: string, error: unknown): unknown {
  return isUnreadable(error) && error.code !== 'cms.malformed'
    ? malformed(`${what}: ${error.reason ?? error.code}`, error)
    : error;
}

import { SealgateError } from '../errors.ts';

/** Code `mail.malformed-encoding`: octets that are not in the grammar of their transfer encoding. */
export function malformedEncoding(reason: string): SealgateError {
  return new SealgateError({
    code: 'mail.malformed-encoding',
    publicText: 'The encoding of a part of this message is damaged.',
    duration: 'permanent',
    reason,
  });
}

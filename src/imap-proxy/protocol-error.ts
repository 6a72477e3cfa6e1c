import { SealgateError } from '../errors.ts';

/** The mail server says what no mail server may say; the session ends. Code `imap.protocol`. */
export function upstreamProtocol(reason: string): SealgateError {
  return new SealgateError({
    code: 'imap.protocol',
    publicText: 'The mail server does not follow the IMAP protocol. Connect again.',
    duration: 'temporary',
    reason,
  });
}

import { SealgateError } from '../errors.ts';
import type { OctetSource } from '../octets/source.ts';

/**
 * The octets of a mail for as long as its claim stands: whoever sends them never comes to their end where somebody else may have taken the
 * mail over meanwhile. A mail server that has not heard the end of a message has no mail.
 *
 * @param stands asked before each chunk, and after the last one
 */
export function whileClaimed(source: OctetSource, stands: () => boolean): OctetSource {
  const check = () => {
    if (!stands()) throw claimLost();
  };
  return {
    length: source.length,
    async *read(start, end) {
      for await (const chunk of source.read(start, end)) {
        check();
        yield chunk;
      }
      check();
    },
  };
}

function claimLost(): SealgateError {
  return new SealgateError({
    code: 'queue.claim-lost',
    duration: 'temporary',
    publicText: 'Another node of the gateway delivers it.',
  });
}

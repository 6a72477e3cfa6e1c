import { SealgateError } from '../errors.ts';
import type { OctetStream } from '../octets/source.ts';

/**
 * Content that must be as long as was announced, since lengths were written in front of it.
 *
 * @throws SealgateError `cms.content-changed` (temporary) before more octets come out than announced, or at an early end
 */
export async function* ofLength(octets: OctetStream, length: number): OctetStream {
  let left = length;
  for await (const chunk of octets) {
    left -= chunk.length;
    if (left < 0) throw contentChanged('more');
    yield chunk;
  }
  if (left > 0) throw contentChanged('less');
}

function contentChanged(found: string): SealgateError {
  return new SealgateError({
    code: 'cms.content-changed',
    publicText: 'The message changed while it was being signed or encrypted; send it again.',
    duration: 'temporary',
    reason: `${found} content than announced`,
  });
}

import { SealgateError } from '../errors.ts';
import { type Reply, reply } from '../smtp/reply.ts';

/** The one place where a failure becomes a reply. Enhanced codes are RFC 3463's. */
export function replyFromError(error: unknown): Reply {
  if (!(error instanceof SealgateError))
    return reply(421, '4.3.0', 'The gateway has a problem; try again later.');
  switch (error.code) {
    case 'upstream.unreachable':
      return reply(421, '4.4.1', error.publicText);
    case 'upstream.lost':
      return reply(421, '4.4.2', error.publicText);
    case 'upstream.refused':
      return reply(421, '4.3.2', error.publicText);
    case 'upstream.tls':
    case 'upstream.plaintext':
      return reply(421, '4.7.0', error.publicText);
    default:
      return error.duration === 'temporary'
        ? reply(451, '4.3.0', error.publicText)
        : reply(554, '5.3.0', error.publicText);
  }
}

/** The connection to the upstream has ended under a session: the session ends too, because nobody else can log in again. */
export function upstreamLost(reason: string): SealgateError {
  return new SealgateError({
    code: 'upstream.lost',
    publicText: 'The connection to the mail server was lost; try again later.',
    duration: 'temporary',
    reason,
  });
}

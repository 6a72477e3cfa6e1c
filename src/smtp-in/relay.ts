import type { MailId } from '../ids.ts';
import { type Reply, replyClass } from '../smtp/reply.ts';
import type { Answer } from '../smtp-out/client.ts';
import type { Conversation } from './conversation.ts';
import { replyFromError, upstreamLost } from './reply-from-error.ts';

/**
 * The upstream's reply as the client gets it: unchanged. Where none came it is 421, and so it is where the upstream asks for more
 * (3xx) although nothing follows: passing that on would let the client send what nobody waits for.
 */
export function relayed(conversation: Conversation, answer: Answer): Reply {
  if (answer.kind === 'lost') return replyFromError(upstreamLost(answer.reason));
  if (replyClass(answer.reply) !== 'intermediate') return answer.reply;
  conversation.upstream?.abandon();
  return replyFromError(upstreamLost('it replied 3xx to a command that has no more to say'));
}

/** Tells the operator of a refusal. */
export function logRefusal(conversation: Conversation, refusal: Reply, mail: MailId | null): void {
  if (refusal.code < 400) return;
  const { log, settings, admission } = conversation.ports;
  log.write({
    event: 'smtp.refused',
    level: 'info',
    session: conversation.id,
    remote: admission?.remote ?? conversation.remote,
    listener: settings.listener,
    mail,
    code: refusal.code,
    reason: (refusal.lines[0] ?? '').slice(0, 200),
  });
}

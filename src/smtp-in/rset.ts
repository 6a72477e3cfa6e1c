import { isCompleted, reply } from '../smtp/reply.ts';
import type { Conversation, Step } from './conversation.ts';
import { relayed } from './relay.ts';

/** RSET (RFC 5321 §4.1.1.5): the upstream's transaction goes with ours. */
export async function rset(conversation: Conversation): Promise<Step> {
  conversation.transaction = null;
  const { upstream } = conversation;
  if (upstream === null || !conversation.upstreamOpen) {
    return { kind: 'reply', reply: reply(250, '2.0.0', 'Reset') };
  }
  const result = relayed(conversation, await upstream.command('RSET'));
  if (isCompleted(result)) conversation.upstreamOpen = false;
  return { kind: 'reply', reply: result };
}

import { reply } from '../smtp/reply.ts';
import type { Conversation, Step } from './conversation.ts';
import { relayed } from './relay.ts';

/** NOOP (RFC 5321 §4.1.1.9), to the upstream too: who keeps the session alive means the whole of it. */
export async function noop(conversation: Conversation): Promise<Step> {
  const { upstream } = conversation;
  if (upstream === null) return { kind: 'reply', reply: reply(250, '2.0.0', 'OK') };
  return { kind: 'reply', reply: relayed(conversation, await upstream.command('NOOP')) };
}

import { parameterValue } from '../smtp/parameters.ts';
import type { Reply } from '../smtp/reply.ts';
import type { Conversation, Transaction } from './conversation.ts';

/**
 * What is asked before a message is taken, so that its octets need not come for nothing: whether there is room where it may have to be
 * kept (RFC 5321 §4.2.2, 452). null: nobody has to be asked.
 */
export function beforeMessage(
  { ports }: Conversation,
  { mailParameters }: Transaction,
): Promise<Reply | null> | null {
  const { storeAndForward } = ports.reception;
  if (storeAndForward === null) return null;
  // RFC 1870 §6: as many as the client has declared; it need not.
  return storeAndForward.full(Number(parameterValue(mailParameters, 'SIZE') ?? 0));
}

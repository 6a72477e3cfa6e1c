import type { SubmissionOutcome } from '../pipeline/ports.ts';
import type { Reply } from '../smtp/reply.ts';
import type { Conversation, Step, Transaction } from './conversation.ts';

/** Whether the session speaks LMTP (RFC 2033). */
export function speaksLmtp({ ports }: Conversation): boolean {
  return ports.admission?.protocol === 'lmtp';
}

/**
 * What the client hears after the end of data. By LMTP one reply for each accepted RCPT, in their order (RFC 2033 §4.2); those of
 * whom nothing else is known get the one of the whole.
 */
export function endOfData(
  conversation: Conversation,
  { recipients, own }: Pick<Transaction, 'recipients' | 'own'>,
  { reply, each }: { reply: Reply; each?: SubmissionOutcome['each'] },
): Step {
  if (!speaksLmtp(conversation)) return { kind: 'reply', reply };
  const all = own === null ? recipients : [own];
  return { kind: 'replies', replies: all.map((recipient) => each?.get(recipient) ?? reply) };
}

import { refusal } from '../reply-text.ts';
import type { Exchange, TransactionContext } from '../transaction-context.ts';
import { pass, say } from './pass.ts';

/**
 * DELE (RFC 1939 §5). A message that the client has asked for in this session and did not get is not removed: a client that sends
 * RETR and DELE in one go, or does not listen, would lose it. Whoever wants to be rid of it does not ask for it first.
 */
export function dele(context: TransactionContext, message: number): Exchange {
  if (!context.maildrop.isWithheld(message)) return pass(context, { verb: 'DELE', message });
  return say(
    context,
    refusal(
      'SYS/TEMP',
      'Not deleted, since it could not be opened when it was fetched. Fetch it again first',
    ),
  );
}

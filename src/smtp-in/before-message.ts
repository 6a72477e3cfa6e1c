import { parameterValue } from '../smtp/parameters.ts';
import type { Reply } from '../smtp/reply.ts';
import type { Conversation, Step, Transaction } from './conversation.ts';
import { logRefusal } from './relay.ts';
import { untilEndOf } from './transaction-end.ts';

/**
 * What is asked before a message is taken, so that its octets need not come for nothing: whether there is room where it may have to be
 * kept (RFC 5321 §4.2.2, 452), and whether its sender may send as much. null: it may come.
 */
export function beforeMessage(
  conversation: Conversation,
  transaction: Transaction,
): Reply | null | Promise<Reply | null> {
  const { storeAndForward } = conversation.ports.reception;
  if (storeAndForward === null) return counted(conversation, transaction);
  // RFC 1870 §6: as many as the client has declared; it need not.
  const declared = Number(parameterValue(transaction.mailParameters, 'SIZE') ?? 0);
  return storeAndForward.full(declared).then((full) => full ?? counted(conversation, transaction));
}

/** Sessions of one sender ask at the same time: what each of them is let send counts at once. */
function counted({ ports, origin }: Conversation, transaction: Transaction): Reply | null {
  const { sendingLimits } = ports.reception;
  if (sendingLimits === null || origin === null) return null;
  const refusal = sendingLimits.mayHave(origin, transaction.recipients.length);
  if (refusal !== null) return refusal;
  transaction.notAccepted = sendingLimits.count(origin, transaction.recipients.length);
  return null;
}

/** MAIL, unless its sender has sent too much, or is sending too much at the same time. */
export function beginWithinLimits(conversation: Conversation, mail: () => Step): Step {
  const { ports, origin: known, transaction: open } = conversation;
  const { sendingLimits } = ports.reception;
  if (sendingLimits === null) return mail();
  if (known !== null && open === null) {
    const refusal = sendingLimits.mayBegin(known);
    if (refusal !== null) return refused(conversation, refusal);
  }
  const step = mail();
  const { origin, transaction } = conversation;
  if (origin === null || transaction === null || transaction === open) return step;
  const end = sendingLimits.begin(origin);
  untilEndOf(conversation, transaction, () => {
    transaction.notAccepted?.();
    end();
  });
  return step;
}

/** RCPT, unless its sender has sent to too many. */
export function rcptWithinLimits(conversation: Conversation, rcpt: () => Step): Step {
  const { ports, origin, transaction } = conversation;
  const { sendingLimits } = ports.reception;
  if (sendingLimits === null || origin === null || transaction === null) return rcpt();
  const refusal = sendingLimits.mayHave(origin, transaction.passedOn + 1);
  return refusal === null ? rcpt() : refused(conversation, refusal);
}

function refused(conversation: Conversation, refusal: Reply): Step {
  logRefusal(conversation, refusal, null);
  return { kind: 'reply', reply: refusal };
}

import type { Conversation, Transaction } from './conversation.ts';

/** Has something of a transaction given back when it is over, however it ends. */
export function untilEndOf(conversation: Conversation, transaction: Transaction, giveBack: () => void): void {
  conversation.untilEnd.push({ transaction, giveBack });
}

/** Gives back what transactions had that are over. To be called after each command, and not while one is being worked on. */
export function giveBackWhatIsOver(conversation: Conversation): void {
  const { untilEnd, transaction: open } = conversation;
  if (untilEnd.length === 0) return;
  conversation.untilEnd = untilEnd.filter(({ transaction }) => transaction === open);
  for (const { transaction, giveBack } of untilEnd) if (transaction !== open) giveBack();
}

import { maxMessageOctets } from '../smtp/extensions.ts';
import { type Reply, reply } from '../smtp/reply.ts';
import { beforeMessage } from './before-message.ts';
import type { Conversation, Step, Transaction } from './conversation.ts';
import { DataIntake } from './data-intake.ts';
import { speaksLmtp } from './lmtp.ts';
import { logRefusal } from './relay.ts';
import { submit } from './submit.ts';

/**
 * DATA (RFC 5321 §4.1.1.4). The 354 is ours: the upstream hears of DATA only when the story has decided what it gets. All replies to
 * MAIL and RCPT are in when this is called.
 */
export function data(conversation: Conversation): Step | Promise<Step> {
  const { transaction, origin } = conversation;
  // RFC 3030 §3: not both in one transaction.
  if (conversation.chunks !== null) return refused(conversation, reply(503, '5.5.1', 'Send BDAT or RSET'));
  const missing = whatIsMissing(transaction);
  if (missing !== null || transaction === null || origin === null) {
    // RFC 2033 §4.2: 503 also where no RCPT was taken.
    return { kind: 'reply', reply: speaksLmtp(conversation) ? SEND_MAIL : (missing ?? SEND_MAIL) };
  }
  const maxOctets = maxOctetsOf(conversation);
  const taken = (): Step => ({
    kind: 'take',
    reply: reply(354, null, 'End data with <CRLF>.<CRLF>'),
    intake: new DataIntake(conversation, maxOctets, (received) =>
      submit(conversation, transaction, origin, received, maxOctets),
    ),
  });
  const judged = (refusal: Reply | null): Step => {
    if (refusal === null) return taken();
    conversation.transaction = null;
    return refused(conversation, refusal);
  };
  const asked = beforeMessage(conversation, transaction);
  return asked instanceof Promise ? asked.then(judged) : judged(asked);
}

const SEND_MAIL = reply(503, '5.5.1', 'Send MAIL and RCPT first');

/** What a message cannot be taken without; null: nothing. */
export function whatIsMissing(transaction: Transaction | null): Reply | null {
  if (transaction === null || !transaction.accepted) return SEND_MAIL;
  if (transaction.recipients.length > 0 || transaction.own !== null) return null;
  return reply(554, '5.5.1', 'No recipient has been accepted');
}

/** Octets that one message may have. */
export function maxOctetsOf({ upstream, ports }: Conversation): number {
  return maxMessageOctets(upstream?.extensions ?? new Map(), ports.settings.maxMessageOctets);
}

function refused(conversation: Conversation, refusal: Reply): Step {
  logRefusal(conversation, refusal, null);
  return { kind: 'reply', reply: refusal };
}

import { unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import type { Origin, OwnMailbox, Submission } from '../pipeline/ports.ts';
import type { Collected } from '../smtp/dot-stuffing.ts';
import type { Mailbox, Recipient } from '../smtp/envelope.ts';
import { maxMessageOctets } from '../smtp/extensions.ts';
import { reply } from '../smtp/reply.ts';
import type { Conversation, Step, Transaction } from './conversation.ts';
import { HandingOver } from './handing-over.ts';
import { endOfData } from './lmtp.ts';
import { tooLarge } from './mail-from.ts';
import { logRefusal } from './relay.ts';

/**
 * DATA (RFC 5321 §4.1.1.4). The 354 is ours: the upstream hears of DATA only when the story has decided what it gets. All replies to
 * MAIL and RCPT are in when this is called.
 */
export function data(conversation: Conversation): Step {
  const { transaction, origin, upstream } = conversation;
  if (transaction === null || origin === null || !transaction.accepted) {
    return { kind: 'reply', reply: reply(503, '5.5.1', 'Send MAIL and RCPT first') };
  }
  if (transaction.recipients.length === 0 && transaction.own === null) {
    return { kind: 'reply', reply: reply(554, '5.5.1', 'No recipient has been accepted') };
  }
  const maxOctets = maxMessageOctets(
    upstream?.extensions ?? new Map(),
    conversation.ports.settings.maxMessageOctets,
  );
  return {
    kind: 'collect',
    reply: reply(354, null, 'End data with <CRLF>.<CRLF>'),
    maxOctets,
    collected: (message) => submitted(conversation, transaction, origin, message, maxOctets),
  };
}

async function submitted(
  conversation: Conversation,
  transaction: Transaction,
  origin: Origin,
  message: Collected,
  maxOctets: number,
): Promise<Step> {
  conversation.transaction = null;
  const { story, ownMailbox, newMailId } = conversation.ports;
  switch (message.kind) {
    case 'too-large':
      return refused(tooLarge(maxOctets));
    case 'bare-line-end':
      return refused(
        reply(554, '5.6.0', 'The message has a bare CR or LF; lines must end with CRLF. It was not sent'),
      );
    case 'message': {
      const submission: Submission = {
        id: newMailId(),
        origin,
        envelope: {
          reversePath: transaction.reversePath,
          mailParameters: transaction.mailParameters,
          recipients: transaction.own === null ? transaction.recipients : [transaction.own],
        },
        octets: bufferSource(message.octets),
      };
      logTaken(conversation, submission);
      if (transaction.own !== null) return forGateway(ownMailbox, submission);
      const handOver = new HandingOver(conversation, transaction);
      try {
        const outcome = await story.submit(submission, handOver);
        if (outcome.kind === 'refused') logRefusal(conversation, outcome.reply, submission.id);
        return endOfData(conversation, transaction, outcome);
      } finally {
        handOver.close();
      }
    }
    default:
      return unreachable(message);
  }

  async function forGateway(mailbox: OwnMailbox | null, submission: Submission): Promise<Step> {
    if (mailbox === null) return refused(reply(554, '5.5.1', 'No recipient has been accepted'));
    const answer = await mailbox.take(submission);
    logRefusal(conversation, answer, submission.id);
    return { kind: 'reply', reply: answer };
  }

  function refused(refusal: ReturnType<typeof reply>): Step {
    logRefusal(conversation, refusal, null);
    return endOfData(conversation, transaction, { reply: refusal });
  }
}

/** With this the trail of a mail begins. */
function logTaken(
  { ports, id: session }: Conversation,
  { id: mail, origin, envelope, octets }: Submission,
): void {
  const { listener, principal } = origin;
  const { reversePath, recipients } = envelope;
  ports.log.write({
    ...{ event: 'mail.taken', level: 'debug', mail, session, listener, principal: principal.login },
    from: reversePath === null ? '' : mailboxText(reversePath),
    to: toldRecipients(recipients),
    recipients: recipients.length,
    octets: octets.length,
  });
}

function toldRecipients(recipients: readonly Recipient[]): string {
  let told = '';
  for (const { mailbox } of recipients) {
    const next = told === '' ? mailboxText(mailbox) : `${told}, ${mailboxText(mailbox)}`;
    if (next.length > limits.trail.recipientCharacters) break;
    told = next;
  }
  return told;
}

function mailboxText({ localPart, domain }: Mailbox): string {
  return domain === '' ? localPart : `${localPart}@${domain}`;
}

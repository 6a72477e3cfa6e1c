import { unreachable } from '../errors.ts';
import type { Origin, Submission } from '../pipeline/ports.ts';
import { isCompleted, type Reply, reply } from '../smtp/reply.ts';
import type { Conversation, Step, Transaction } from './conversation.ts';
import { HandingOver } from './handing-over.ts';
import { endOfData } from './lmtp.ts';
import { tooLarge } from './mail-from.ts';
import { withMailId } from './mail-id.ts';
import type { Received } from './message-body.ts';
import { QueuedHandOver } from './queued-hand-over.ts';
import { logRefusal } from './relay.ts';
import { logTaken } from './taken.ts';

/** A message is there, by DATA or by BDAT: the story decides, and its answer ends the transaction. Nothing of the message stays behind. */
export async function submit(
  conversation: Conversation,
  transaction: Transaction,
  origin: Origin,
  received: Received,
  maxOctets: number,
): Promise<Step> {
  conversation.transaction = null;
  const { story, ownMailbox, newMailId } = conversation.ports;
  const id = newMailId();
  if (received.kind !== 'message') {
    return answered({ kind: 'refused', reply: refusalFor(conversation, received, maxOctets) });
  }
  const submission: Submission = {
    id,
    origin,
    envelope: {
      reversePath: transaction.reversePath,
      mailParameters: transaction.mailParameters,
      recipients: transaction.own === null ? transaction.recipients : [transaction.own],
    },
    octets: received.octets,
  };
  logTaken(conversation, submission);
  const { storeAndForward } = conversation.ports.reception;
  const handOver =
    storeAndForward === null
      ? new HandingOver(conversation, transaction)
      : new QueuedHandOver(storeAndForward, submission);
  try {
    if (transaction.own === null) return answered(await story.submit(submission, handOver));
    if (ownMailbox === null) throw new Error('a recipient that nobody has accepted');
    return answered({ kind: 'refused', reply: await ownMailbox.take(submission) });
  } finally {
    await handOver.close();
    await received.discard();
  }

  function answered(outcome: Parameters<typeof endOfData>[2] & { kind: 'accepted' | 'refused' }): Step {
    if (outcome.kind === 'refused') logRefusal(conversation, outcome.reply, id);
    // One that was not accepted does not count; see before-message.ts.
    if (isCompleted(outcome.reply)) delete transaction.notAccepted;
    const step = endOfData(conversation, transaction, outcome);
    if (step.kind === 'reply') return { kind: 'reply', reply: withMailId(step.reply, id) };
    if (step.kind !== 'replies') return step;
    return { kind: 'replies', replies: step.replies.map((each) => withMailId(each, id)) };
  }
}

/** Why a message is not taken, whose octets are there or not worth waiting for. */
export function refusalFor(
  { ports: { log }, id: session }: Conversation,
  failed: Exclude<Received, { kind: 'message' }>,
  maxOctets: number,
): Reply {
  switch (failed.kind) {
    case 'too-large':
      return tooLarge(maxOctets);
    case 'bare-line-end':
      return reply(
        554,
        '5.6.0',
        'The message has a bare CR or LF; lines must end with CRLF. It was not sent',
      );
    case 'nul-before-dot':
      return reply(554, '5.6.0', 'A line of the message begins with NUL and a dot. It was not sent');
    case 'no-room':
      log.write({ event: 'smtp.no-room', level: 'error', session, reason: failed.reason });
      return reply(452, '4.3.1', 'There is no room for the message at the moment; try again later');
    default:
      return unreachable(failed);
  }
}

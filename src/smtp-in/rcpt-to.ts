import { limits } from '../limits.ts';
import type { OwnMailbox } from '../pipeline/ports.ts';
import type { Mailbox, Parameter, Recipient } from '../smtp/envelope.ts';
import { hasParameter, refusedParameter, writeParameters } from '../smtp/parameters.ts';
import { needsSmtpUtf8, writePath } from '../smtp/path.ts';
import { isCompleted, type Reply, reply } from '../smtp/reply.ts';
import type { Upstream } from '../smtp-out/client.ts';
import type { Conversation, Step, Transaction } from './conversation.ts';
import { logRefusal, relayed } from './relay.ts';
import { replyFromError, upstreamLost } from './reply-from-error.ts';

/**
 * RCPT (RFC 5321 §4.1.1.3): the upstream decides. It is passed on while MAIL or other recipients are still unanswered; if MAIL is
 * refused, the upstream refuses these too.
 */
export function rcptTo(
  conversation: Conversation,
  command: { mailbox: Mailbox; parameters: readonly Parameter[] },
  /** RCPT commands whose replies are still to come. */
  underWay: number,
): Step {
  const { upstream, transaction, origin } = conversation;
  if (origin === null && conversation.ports.admission === undefined)
    return refusal(conversation, reply(530, '5.7.0', 'Authentication required'));
  if (origin === null || transaction === null)
    return refusal(conversation, reply(503, '5.5.1', 'Send MAIL first'));
  if (upstream === null) return { kind: 'end', reply: replyFromError(upstreamLost('there is none')) };
  // RFC 5321 §4.5.3.1.10: temporary, so that the client sends the rest in another transaction.
  if (transaction.recipients.length + underWay >= limits.smtp.recipients) {
    return refusal(conversation, reply(452, '4.5.3', 'Too many recipients'));
  }
  const refused = refusedParameter('RCPT', command.parameters, upstream.extensions);
  if (refused !== null) return refusal(conversation, refused);
  if (needsSmtpUtf8(command.mailbox) && !hasParameter(transaction.mailParameters, 'SMTPUTF8')) {
    return refusal(conversation, reply(553, '5.6.7', 'The address needs the parameter SMTPUTF8 in MAIL'));
  }
  const unwelcome = conversation.ports.admission?.judgeRecipient(command.mailbox) ?? null;
  if (unwelcome !== null) return refusal(conversation, unwelcome);
  const recipient: Recipient = { mailbox: command.mailbox, parameters: command.parameters };
  const { ownMailbox } = conversation.ports;
  if (ownMailbox?.isOwn(command.mailbox) === true) {
    if (transaction.own !== null || transaction.passedOn > 0) return refusal(conversation, NOT_ALONE);
    return { kind: 'relay', reply: toGateway(conversation, transaction, recipient, ownMailbox) };
  }
  if (transaction.own !== null) return refusal(conversation, NOT_ALONE);
  transaction.passedOn++;
  const { opening, asked: before } = transaction;
  const judgement = conversation.ports.story.judgeRecipient(origin, recipient);
  if (judgement === null && before === null) return { kind: 'relay', reply: asked(upstream) };
  const { promise, resolve } = Promise.withResolvers<void>();
  transaction.asked = promise;
  return { kind: 'relay', reply: judged(judgement, upstream).finally(resolve) };

  /** The upstream hears of recipients in the order of the client: by LMTP whoever answers for each goes by it (RFC 2033 §4.2). */
  async function judged(waiting: Promise<Reply | null> | null, server: Upstream): Promise<Reply> {
    const refusal = await waiting;
    await before;
    if (refusal === null) {
      const answer = asked(server);
      resolve();
      return answer;
    }
    if (transaction !== null) transaction.passedOn--;
    logRefusal(conversation, refusal, null);
    return refusal;
  }

  async function asked(server: Upstream): Promise<Reply> {
    const result = relayed(conversation, await server.command(rcptCommand(recipient)));
    await opening;
    // MAIL was refused but this was not: the transaction is no longer ours, so nobody may be in it.
    if (isCompleted(result) && (!transaction?.accepted || conversation.transaction !== transaction)) {
      return reply(503, '5.5.1', 'Send MAIL first');
    }
    if (!isCompleted(result) && transaction !== null) transaction.passedOn--;
    if (isCompleted(result) && transaction !== null && origin !== null) {
      transaction.recipients.push(recipient);
      conversation.ports.story.expectRecipient(origin, recipient);
    }
    logRefusal(conversation, result, null);
    return result;
  }
}

export function rcptCommand(recipient: Recipient): string {
  return `RCPT TO:${writePath(recipient.mailbox)}${writeParameters(recipient.parameters)}`;
}

/** An answer to the gateway: it goes no further, and nobody else gets it. */
async function toGateway(
  conversation: Conversation,
  transaction: Transaction,
  recipient: Recipient,
  ownMailbox: OwnMailbox,
): Promise<Reply> {
  const { origin } = conversation;
  if (origin === null) return reply(530, '5.7.0', 'Authentication required');
  transaction.own = recipient;
  const judged = await ownMailbox.judge(origin, recipient.mailbox);
  await transaction.opening;
  const result =
    transaction.accepted && conversation.transaction === transaction
      ? judged
      : reply(503, '5.5.1', 'Send MAIL first');
  if (!isCompleted(result)) transaction.own = null;
  logRefusal(conversation, result, null);
  return result;
}

const NOT_ALONE = reply(550, '5.5.3', 'An answer to the gateway must have no other recipient; send it alone');

function refusal(conversation: Conversation, refused: Reply): Step {
  logRefusal(conversation, refused, null);
  return { kind: 'reply', reply: refused };
}

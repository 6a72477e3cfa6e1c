import type { Parameter, ReversePath } from '../smtp/envelope.ts';
import { maxMessageOctets, maxSizeOf, sizeAfterGrowth } from '../smtp/extensions.ts';
import { hasParameter, parameterValue, refusedParameter, writeParameters } from '../smtp/parameters.ts';
import { needsSmtpUtf8, writePath } from '../smtp/path.ts';
import { isCompleted, type Reply, reply } from '../smtp/reply.ts';
import type { Admission } from './admission.ts';
import type { Conversation, Step, Transaction } from './conversation.ts';
import { logRefusal, relayed } from './relay.ts';
import { replyFromError, upstreamLost } from './reply-from-error.ts';
import { forwardMail } from './trusted-proxy.ts';
import { extensionsFor } from './upstream-extensions.ts';

/** MAIL (RFC 5321 §4.1.1.2), only for the authenticated (RFC 6409 §4.3). It opens the upstream's transaction with ours. */
export function mailFrom(
  conversation: Conversation,
  command: { reversePath: ReversePath; parameters: readonly Parameter[] },
): Step {
  const { settings, admission } = conversation.ports;
  if (conversation.greeted === 'no') return refusal(conversation, reply(503, '5.5.1', 'Send EHLO first'));
  if (admission === undefined && conversation.origin === null)
    return refusal(conversation, authenticationRequired(conversation));
  if (conversation.transaction !== null) {
    return refusal(conversation, reply(503, '5.5.1', 'A mail transaction is already open'));
  }
  const { upstream } = conversation;
  if (upstream === null) return { kind: 'end', reply: replyFromError(upstreamLost('there is none')) };
  const { reversePath, parameters } = command;
  const refused = refusedParameter('MAIL', parameters, extensionsFor(conversation) ?? upstream.extensions);
  if (refused !== null) return refusal(conversation, refused);
  // RFC 6531 §3.5.
  if (reversePath !== null && needsSmtpUtf8(reversePath) && !hasParameter(parameters, 'SMTPUTF8')) {
    return refusal(conversation, reply(553, '5.6.7', 'The address needs the parameter SMTPUTF8'));
  }
  const size = Number(parameterValue(parameters, 'SIZE') ?? 0);
  const max = maxMessageOctets(upstream.extensions, settings.maxMessageOctets);
  // RFC 1870 §6.1.
  if (size > max) return refusal(conversation, tooLarge(max));
  if (admission !== undefined) {
    // RFC 4954 §5: whose word AUTH= is. Where nobody logs in it is nobody's, and was not offered.
    if (hasParameter(parameters, 'AUTH')) {
      return refusal(conversation, reply(555, '5.5.4', 'The parameter AUTH of MAIL is not supported'));
    }
    const unwelcome = admit(conversation, admission, command);
    if (unwelcome !== null) return refusal(conversation, unwelcome);
    forwardMail(conversation);
  }

  const transaction: Transaction = {
    reversePath,
    mailParameters: parameters,
    recipients: [],
    own: null,
    passedOn: 0,
    accepted: false,
    opening: Promise.resolve(),
    asked: null,
  };
  conversation.transaction = transaction;
  const reset = conversation.upstreamOpen ? upstream.command('RSET') : null;
  conversation.upstreamOpen = true;
  const limit = maxSizeOf(upstream.extensions) ?? Number.MAX_SAFE_INTEGER;
  const mail = upstream.command(mailCommand(reversePath, parameters, Math.min(sizeAfterGrowth(size), limit)));
  const judged = opened();
  transaction.opening = judged;
  return { kind: 'relay', reply: judged };

  async function opened(): Promise<Reply> {
    const [cleared, answer] = [reset === null ? null : await reset, await mail];
    // A server that does not reset is of no use, and its reply to MAIL says nothing.
    let result = relayed(conversation, answer);
    if (cleared?.kind === 'reply' && !isCompleted(cleared.reply)) {
      conversation.upstream?.abandon();
      result = replyFromError(upstreamLost('it refused RSET'));
    }
    if (isCompleted(result)) transaction.accepted = true;
    else if (conversation.transaction === transaction) conversation.transaction = null;
    logRefusal(conversation, result, null);
    return result;
  }
}

/** Without a login it is said anew of each mail whose it is (RFC 5321 §3.3: a refusal for good at MAIL). */
function admit(
  conversation: Conversation,
  admission: Admission,
  { reversePath, parameters }: { reversePath: ReversePath; parameters: readonly Parameter[] },
): Reply | null {
  conversation.origin = null;
  const admitted = admission.judgeSender(reversePath);
  if (admitted.kind === 'refused') return admitted.reply;
  const { settings } = conversation.ports;
  conversation.origin = {
    session: conversation.id,
    listener: settings.listener,
    principal: admitted.principal,
    remote: admission.remote,
    arrival: {
      hostname: settings.hostname,
      helo: conversation.helo,
      protocol: protocolOf(conversation, hasParameter(parameters, 'SMTPUTF8')),
    },
  };
  return null;
}

/** RFC 3848 and RFC 6531 §4.3. */
function protocolOf({ greeted, secure, ports }: Conversation, utf8: boolean): string {
  const base = ports.admission?.protocol === 'lmtp' ? 'LMTP' : 'SMTP';
  if (utf8) return `UTF8${base}${secure ? 'S' : ''}`;
  if (greeted === 'helo') return base;
  return `${base === 'LMTP' ? 'LMTP' : 'ESMTP'}${secure ? 'S' : ''}`;
}

/** The command for the upstream; `size` replaces what the client declared, where it declared anything (RFC 1870 §5). */
export function mailCommand(
  reversePath: ReversePath,
  parameters: readonly Parameter[],
  size: number,
): string {
  const adjusted = parameters.map((parameter) =>
    parameter.keyword === 'SIZE' ? { keyword: 'SIZE', value: String(size) } : parameter,
  );
  return `MAIL FROM:${writePath(reversePath)}${writeParameters(adjusted)}`;
}

export function tooLarge(maxOctets: number): Reply {
  return reply(552, '5.3.4', `The message is too large; at most ${maxOctets} octets are accepted`);
}

/** RFC 3207 §4 before TLS, RFC 4954 §6 after. */
function authenticationRequired(conversation: Conversation): Reply {
  const tlsFirst = conversation.ports.settings.tls === 'starttls' && !conversation.secure;
  return reply(530, '5.7.0', tlsFirst ? 'Must issue a STARTTLS command first' : 'Authentication required');
}

function refusal(conversation: Conversation, refused: Reply): Step {
  logRefusal(conversation, refused, null);
  return { kind: 'reply', reply: refused };
}

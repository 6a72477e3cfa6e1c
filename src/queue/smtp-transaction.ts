import { bufferSource } from '../octets/buffer-source.ts';
import type { Parameter, Recipient } from '../smtp/envelope.ts';
import { type Extensions, maxSizeOf } from '../smtp/extensions.ts';
import { hasParameter, writeParameters } from '../smtp/parameters.ts';
import { needsSmtpUtf8, writePath } from '../smtp/path.ts';
import { isCompleted, type Reply, replyClass, summary } from '../smtp/reply.ts';
import type { Answer, Upstream } from '../smtp-out/client.ts';
import type { DeliveryOutcome, MailToDeliver } from './ports.ts';
import { type TransportNeeds, transportNeedsOf } from './transport-needs.ts';

export type MailForSmtp = Pick<MailToDeliver, 'envelope' | 'requireTls' | 'octets' | 'purpose'>;

const LOST: Verdict = { kind: 'later', reply: null, because: 'the mail server did not answer for it' };

/** `status`: RFC 3463, where no reply has one. */
type Verdict = {
  kind: 'delivered' | 'later' | 'failed';
  reply: Reply | null;
  because: string;
  status?: string;
};

/**
 * One mail in one transaction, each recipient for herself: those whom the server refuses do not keep it from the others.
 *
 * Must never happen: it leaves less protected on the way than it has to; somebody counts as served whom the server's 2xx to the end of
 * data did not cover.
 */
export async function deliverIn(upstream: Upstream, mail: MailForSmtp): Promise<readonly DeliveryOutcome[]> {
  const { recipients, reversePath } = mail.envelope;
  const everybody = (verdict: Verdict) => recipients.map((recipient) => outcomeOf(recipient, verdict));
  const octets = Buffer.isBuffer(mail.octets) ? bufferSource(mail.octets) : mail.octets;
  const parameters = mailParameters(upstream, mail, octets.length, await transportNeedsOf(octets));
  if (!Array.isArray(parameters)) return everybody(parameters);
  const dsn = upstream.extensions.has('DSN');
  const [began, ...answers] = await Promise.all([
    upstream.command(`MAIL FROM:${writePath(reversePath)}${writeParameters(parameters)}`),
    ...recipients.map((recipient) => upstream.command(rcptCommand(recipient, dsn))),
  ]);
  const begun = verdictOn(upstream, began);
  if (begun.kind !== 'delivered') {
    await reset(upstream);
    return everybody(begun);
  }
  const verdicts = answers.map((answer) => verdictOn(upstream, answer));
  if (verdicts.some(({ kind }) => kind === 'delivered')) {
    const accepted = verdicts.filter(({ kind }) => kind === 'delivered').length;
    const taken = (await upstream.dataForEach(octets, accepted)).map((answer) => verdictOn(upstream, answer));
    if (!taken.every(({ kind }) => kind === 'delivered')) await reset(upstream);
    const told = taken.values();
    return recipients.map((recipient, i) => {
      const own = verdicts[i] ?? begun;
      return outcomeOf(recipient, own.kind === 'delivered' ? (told.next().value ?? LOST) : own, dsn);
    });
  }
  await reset(upstream);
  return recipients.map((recipient, i) => outcomeOf(recipient, verdicts[i] ?? begun));
}

/** What the server is told of the mail, or why it cannot have it. */
function mailParameters(
  upstream: Upstream,
  mail: MailForSmtp,
  size: number,
  needs: TransportNeeds,
): Parameter[] | Verdict {
  const { extensions } = upstream;
  const { envelope, requireTls, purpose } = mail;
  const parameters: Parameter[] = [];
  if (needs.bareLineEnd || needs.nulBeforeDot)
    return failed('the message has line ends that servers read differently', '5.6.0');
  const max = maxSizeOf(extensions);
  if (max !== null && size > max) {
    return failed(`the message has ${size} octets, and the mail server takes ${max}`, '5.3.4');
  }
  if (extensions.has('SIZE')) parameters.push({ keyword: 'SIZE', value: String(size) });
  // RFC 6152 §3: nobody has leave to change what is signed, so what is not 7-bit needs a server that takes it.
  const { eightBit } = needs;
  if (eightBit && !extensions.has('8BITMIME')) {
    return failed('the message has octets beyond ASCII, which the mail server does not take', '5.6.3');
  }
  if (eightBit) parameters.push({ keyword: 'BODY', value: '8BITMIME' });
  if (needsUtf8(mail, needs)) {
    if (!extensions.has('SMTPUTF8')) {
      return failed('the mail server takes no addresses beyond ASCII (SMTPUTF8)', '5.6.7');
    }
    parameters.push({ keyword: 'SMTPUTF8', value: null });
  }
  if (extensions.has('DSN')) {
    // RFC 3461 §4.3, §4.4
    const isOpened = purpose === 'opened';
    parameters.push(
      ...envelope.mailParameters.filter(
        ({ keyword }) => (keyword === 'RET' && !isOpened) || keyword === 'ENVID',
      ),
      // Whoever has sent it need not be who could read it: a report of the server's must not bring them the text.
      ...(isOpened ? [{ keyword: 'RET', value: 'HDRS' }] : []),
    );
  }
  // RFC 8689 §5: a report is not thrown away for want of that promise; its sender would never hear of the failure.
  const demand = requireTls === 'onward' && purpose === 'report' ? 'upstream' : requireTls;
  return demand === 'no' ? parameters : withTls(demand, upstream, parameters);
}

function withTls(
  demand: 'upstream' | 'onward',
  { secure, extensions }: { secure: boolean; extensions: Extensions },
  parameters: Parameter[],
): Parameter[] | Verdict {
  if (!secure) {
    return {
      ...{ kind: 'later', reply: null, status: '4.7.0' },
      because: 'it may leave by TLS only, and the mail server is called without',
    };
  }
  // RFC 8689 §4.2.1: promised by the server, for the whole way.
  if (extensions.has('REQUIRETLS')) return [...parameters, { keyword: 'REQUIRETLS', value: null }];
  if (demand === 'upstream') return parameters;
  return failed(
    'it may leave by TLS only for the whole way, and the mail server does not promise that (REQUIRETLS)',
    '5.7.30',
  );
}

/** RFC 6531 §3.4: in an address, or in the header. */
function needsUtf8(
  { envelope: { reversePath, recipients, mailParameters: declared } }: MailForSmtp,
  { eightBitHeader }: TransportNeeds,
): boolean {
  if (reversePath !== null && needsSmtpUtf8(reversePath)) return true;
  if (recipients.some(({ mailbox }) => needsSmtpUtf8(mailbox))) return true;
  return eightBitHeader && hasParameter(declared, 'SMTPUTF8');
}

function rcptCommand({ mailbox, parameters }: Recipient, dsn: boolean): string {
  return `RCPT TO:${writePath(mailbox)}${dsn ? writeParameters(parameters) : ''}`;
}

function verdictOn(upstream: Upstream, answer: Answer): Verdict {
  if (answer.kind === 'lost') {
    return { kind: 'later', reply: null, because: `the mail server was lost: ${answer.reason}` };
  }
  const { reply } = answer;
  const because = `the mail server said: ${summary(reply)}`;
  if (isCompleted(reply)) return { kind: 'delivered', reply, because };
  // RFC 4954 §6: the gateway has to log in, or to log in otherwise. That is for its administrator to mend, and no fault of the mail.
  if (/^53[0-8]$/.test(String(reply.code))) return { kind: 'later', reply, because };
  if (replyClass(reply) === 'permanent') return { kind: 'failed', reply, because };
  if (replyClass(reply) === 'intermediate') upstream.abandon();
  return { kind: 'later', reply, because };
}

/** A server that does not reset is of no use for the next mail. */
async function reset(upstream: Upstream): Promise<void> {
  if (upstream.lost !== null) return;
  const answer = await upstream.command('RSET');
  if (answer.kind === 'lost' || !isCompleted(answer.reply)) upstream.abandon();
}

function failed(because: string, status: string): Verdict {
  return { kind: 'failed', reply: null, because, status };
}

function outcomeOf(
  recipient: Recipient,
  { kind, reply, because, status }: Verdict,
  confirmed = true,
): DeliveryOutcome {
  if (kind !== 'delivered') {
    return { recipient, kind, reply, because, ...(status === undefined ? {} : { status }) };
  }
  return { recipient, kind, reply, ...(confirmed ? {} : { unconfirmed: true as const }) };
}

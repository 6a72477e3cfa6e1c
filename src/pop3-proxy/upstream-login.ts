import { SealgateError } from '../errors.ts';
import { type Credentials, plainMessage } from '../sasl/credentials.ts';
import { offeredMechanisms, type UpstreamCapabilities } from './capability.ts';
import type { ClientLines } from './client-lines.ts';
import type { Replies } from './replies.ts';
import type { StatusLine } from './reply-scanner.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

export type LoginVerdict =
  /** `text`: the mail server's own words. */
  | { kind: 'accepted' | 'rejected'; text: string }
  /** There is no way to say these credentials to this server. */
  | { kind: 'unsayable' }
  | { kind: 'lost' };

/**
 * Logs in upstream with what the client gave. The credentials go into nothing but the upstream's socket, and nothing counts that
 * the server has said before it heard them.
 */
export async function loginUpstream(
  { replies, capabilities }: UpstreamConnection,
  credentials: Credentials,
  client: ClientLines,
): Promise<LoginVerdict> {
  const steps = stepsOf(credentials, capabilities);
  if (steps === null) return { kind: 'unsayable' };
  for (;;) {
    const step = steps.shift();
    if (step !== undefined) {
      if (replies.buffered > 0) throw outOfOrder('a reply before its command');
      replies.leg.write(step.line);
    }
    const status = await replies.status();
    if (status === null) return { kind: 'lost' };
    if (status.kind === 'error') return { kind: 'rejected', text: status.text };
    const next = steps[0];
    if (next !== undefined && status.kind === next.after) continue;
    if (next === undefined && status.kind === 'ok') return { kind: 'accepted', text: status.text };
    if (status.kind !== 'challenge') throw outOfOrder('a verdict before all was said');
    if (next === undefined && credentials.kind === 'token') await relayChallenge(replies, client, status);
    else replies.leg.write('*\r\n');
  }
}

/** A line for the server, and what it has to have said before. */
type Step = { line: Buffer | string; after: 'challenge' | 'ok' | null };

function stepsOf(credentials: Credentials, capabilities: UpstreamCapabilities): Step[] | null {
  if (credentials.kind === 'token') {
    return saslSteps(credentials.mechanism, Buffer.from(credentials.secret.reveal(), 'latin1'));
  }
  const sasl = capabilities.list.get('SASL') ?? [];
  if (sasl.includes('PLAIN')) return saslSteps('PLAIN', plainMessage(credentials));
  const login = Buffer.from(credentials.login, 'utf8');
  const password = Buffer.from(credentials.secret.reveal(), 'latin1');
  if (sasl.includes('LOGIN')) {
    return [
      { line: 'AUTH LOGIN\r\n', after: null },
      { line: `${login.toString('base64')}\r\n`, after: 'challenge' },
      { line: `${password.toString('base64')}\r\n`, after: 'challenge' },
    ];
  }
  // RFC 1939 does not say where a name with blanks ends: the server might take the client for somebody else.
  if (login.includes(0x20) || !offeredMechanisms(capabilities).includes('PLAIN')) return null;
  return [
    { line: Buffer.concat([Buffer.from('USER '), login, CRLF]), after: null },
    { line: Buffer.concat([Buffer.from('PASS '), password, CRLF]), after: 'ok' },
  ];
}

const CRLF = Buffer.from('\r\n');
/** RFC 5034 §4: an initial response that makes the line longer than this waits for the server's challenge. */
const COMMAND_OCTETS = 255;

function saslSteps(mechanism: string, message: Buffer): Step[] {
  const response = message.toString('base64');
  const whole = `AUTH ${mechanism} ${response}\r\n`;
  if (whole.length <= COMMAND_OCTETS) return [{ line: whole, after: null }];
  return [
    { line: `AUTH ${mechanism}\r\n`, after: null },
    { line: `${response}\r\n`, after: 'challenge' },
  ];
}

/** The reason of a refused token (RFC 7628 §3.2.3) goes to the client, its answer back. */
async function relayChallenge(replies: Replies, client: ClientLines, { text }: StatusLine): Promise<void> {
  const reason = text.slice(2);
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(reason)) throw outOfOrder('a challenge that is not base64');
  client.leg.write(`+ ${reason}\r\n`);
  const answer = (await client.next())?.toString('latin1') ?? '*';
  // The client has nothing to say any more but that it has heard.
  replies.leg.write(answer === '' || answer === 'AQ==' ? `${answer}\r\n` : '*\r\n');
}

function outOfOrder(reason: string): SealgateError {
  return new SealgateError({
    code: 'upstream.login',
    publicText: 'The login could not be completed. Connect again.',
    duration: 'temporary',
    reason,
  });
}

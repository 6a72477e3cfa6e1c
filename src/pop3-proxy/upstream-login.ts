import { SealgateError } from '../errors.ts';
import { decodeBase64 } from '../sasl/base64.ts';
import { type Credentials, plainMessage } from '../sasl/credentials.ts';
import type { RelayedExchange } from '../sasl/relayed-identity.ts';
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

/** What is said upstream: credentials that were collected here, or an exchange that is relayed. */
export type LoginAttempt = Credentials | RelayedExchange;

/** Challenges of one exchange; SCRAM has two, a refused token one. */
const CHALLENGES = 4;

/**
 * Logs in upstream with what the client gave. The credentials go into nothing but the upstream's socket, and nothing counts that
 * the server has said before it heard them.
 *
 * @param challenged what goes up of the client's answer to a challenge that is relayed; null: the attempt is taken back
 */
export async function loginUpstream(
  { replies, capabilities }: UpstreamConnection,
  attempt: LoginAttempt,
  client: ClientLines,
  challenged: (answer: Buffer) => Buffer | null,
): Promise<LoginVerdict> {
  const steps = stepsOf(attempt, capabilities);
  if (steps === null) return { kind: 'unsayable' };
  let challenges = 0;
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
    const relayed = next === undefined && attempt.kind !== 'password' && ++challenges <= CHALLENGES;
    if (relayed) await relayChallenge(replies, client, status, challenged);
    else replies.leg.write('*\r\n');
  }
}

/** A line for the server, and what it has to have said before. */
type Step = { line: Buffer | string; after: 'challenge' | 'ok' | null };

function stepsOf(credentials: LoginAttempt, capabilities: UpstreamCapabilities): Step[] | null {
  if (credentials.kind === 'relayed') {
    const { mechanism, first } = credentials;
    return first === null ? [{ line: `AUTH ${mechanism}\r\n`, after: null }] : saslSteps(mechanism, first);
  }
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

/**
 * One challenge goes to the client, its answer back; also the reason of a refused token (RFC 7628 §3.2.3). Both are base64 and
 * nothing else: neither side can put a command or a reply in their place.
 */
async function relayChallenge(
  replies: Replies,
  client: ClientLines,
  { text }: StatusLine,
  challenged: (answer: Buffer) => Buffer | null,
): Promise<void> {
  const challenge = text.slice(2);
  if (decodeBase64(Buffer.from(challenge, 'latin1')) === null)
    throw outOfOrder('a challenge that is not base64');
  client.leg.write(`+ ${challenge}\r\n`);
  const line = await client.next();
  const answer = line === null ? null : decodeBase64(line);
  const sent = answer === null ? null : challenged(answer);
  // "*" takes the attempt back (RFC 5034 §4).
  replies.leg.write(sent === null ? '*\r\n' : `${sent.toString('base64')}\r\n`);
}

function outOfOrder(reason: string): SealgateError {
  return new SealgateError({
    code: 'upstream.login',
    publicText: 'The login could not be completed. Connect again.',
    duration: 'temporary',
    reason,
  });
}

import { SealgateError } from '../errors.ts';
import { decodeBase64 } from '../sasl/base64.ts';
import { type Credentials, plainMessage } from '../sasl/credentials.ts';
import type { RelayedExchange } from '../sasl/relayed-identity.ts';
import type { Telling } from './capability.ts';
import { capabilityList, cleanCapability, cleanStatus, readServerLine } from './server-line.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import { whileServerStays } from './while-server-stays.ts';
import type { Wire } from './wire.ts';

export type LoginVerdict =
  /** `forNow`: it says nothing of the credentials (RFC 5530 §3), or that they were right. */
  { status: 'OK' | 'NO' | 'BAD'; forNow: boolean } | { status: 'lost' };

const FOR_NOW = /^[^ ]+ NO \[(?:UNAVAILABLE|INUSE|SERVERBUG|LIMIT)[\] ]/i;

/** What is said upstream: credentials that were collected here, or an exchange that is relayed. */
export type LoginAttempt = Credentials | RelayedExchange;

export type LoginOptions = {
  upstream: UpstreamConnection;
  /** The client's own tag. */
  tag: string;
  attempt: LoginAttempt;
  client: Wire;
  /** What goes up of the client's answer to a challenge that is relayed; null: the attempt is taken back. */
  challenged(answer: Buffer): Buffer | null;
  /** The session that follows is between client and upstream alone: capabilities are told as they are. */
  asStored: boolean;
  telling: Telling;
};

/**
 * Logs in upstream with what the client gave, under the client's own tag, and hands the upstream's verdict back in its own
 * words. The credentials go into nothing but the upstream's socket.
 */
export async function loginUpstream(options: LoginOptions): Promise<LoginVerdict> {
  const { upstream, tag, attempt, client, challenged, asStored, telling } = options;
  const answers = firstCommand(upstream, tag, attempt);
  const { wire } = upstream;
  let challenges = 0;
  for (;;) {
    const event = await wire.next();
    if (event === null) return { status: 'lost' };
    if (event.type !== 'line' || event.literal !== null) continue;
    const line = readServerLine(event.octets);
    const list = capabilityList(event.octets);
    if (list !== null) upstream.capabilities = new Set(list.map((each) => each.toUpperCase()));
    switch (line.kind) {
      case 'continuation': {
        const answer = answers.shift();
        if (answer !== undefined) wire.write(answer);
        else if (attempt.kind === 'password' || ++challenges > CHALLENGES) wire.write('*\r\n');
        else await relayChallenge(wire, client, event.octets, challenged);
        break;
      }
      case 'tagged':
        if (line.tag !== tag) throw protocol();
        client.write(asStored && line.status === 'OK' ? event.octets : cleanStatus(event.octets, telling));
        return { status: line.status, forNow: FOR_NOW.test(event.octets.toString('latin1', 0, 300)) };
      case 'capability':
        client.write(asStored ? event.octets : cleanCapability(event.octets, telling));
        break;
      case 'status':
        if (line.status === 'PREAUTH') throw protocol();
        client.write(cleanStatus(event.octets, telling));
        break;
      default:
        break;
    }
  }
}

/** Challenges of one exchange; SCRAM has two, a refused token one. */
const CHALLENGES = 4;

/** Sends the first line; returns the answers to the continuation requests that are to come. */
function firstCommand(upstream: UpstreamConnection, tag: string, attempt: LoginAttempt): (Buffer | string)[] {
  const { wire, capabilities } = upstream;
  const begin = (mechanism: string, message: Buffer): (Buffer | string)[] => {
    const response = message.toString('base64');
    const initial = capabilities.has('SASL-IR');
    wire.write(`${tag} AUTHENTICATE ${mechanism}${initial ? ` ${response}` : ''}\r\n`);
    return initial ? [] : [`${response}\r\n`];
  };
  if (attempt.kind === 'relayed') {
    if (attempt.first !== null) return begin(attempt.mechanism, attempt.first);
    wire.write(`${tag} AUTHENTICATE ${attempt.mechanism}\r\n`);
    return [];
  }
  const credentials = attempt;
  if (credentials.kind === 'token') {
    return begin(credentials.mechanism, Buffer.from(credentials.secret.reveal(), 'latin1'));
  }
  if (capabilities.has('AUTH=PLAIN')) return begin('PLAIN', plainMessage(credentials));
  const login = Buffer.from(credentials.login, 'utf8');
  const password = Buffer.from(credentials.secret.reveal(), 'latin1');
  if (capabilities.has('AUTH=LOGIN')) {
    wire.write(`${tag} AUTHENTICATE LOGIN\r\n`);
    return [`${login.toString('base64')}\r\n`, `${password.toString('base64')}\r\n`];
  }
  // As literals, so that no octet of them means anything to the server.
  wire.write(`${tag} LOGIN {${login.length}}\r\n`);
  const second = Buffer.concat([login, Buffer.from(` {${password.length}}\r\n`)]);
  return [second, Buffer.concat([password, Buffer.from('\r\n')])];
}

/**
 * One challenge goes to the client, its answer back; also the reason of a refused token (RFC 7628 §3.2.3). Both are base64 and
 * nothing else: neither side can put a command or a response in their place.
 */
async function relayChallenge(
  wire: Wire,
  client: Wire,
  challenge: Buffer,
  challenged: (answer: Buffer) => Buffer | null,
): Promise<void> {
  if (base64Of(challenge.subarray(2)) === null) throw protocol();
  client.write(challenge);
  const line = await whileServerStays(client, wire, () => client.nextText());
  if (line === null || line.length > ANSWER_OCTETS) throw protocol();
  const answer = base64Of(line);
  const sent = answer === null ? null : challenged(answer);
  // "*" takes the attempt back (RFC 9051 §6.2.2).
  wire.write(sent === null ? '*\r\n' : `${sent.toString('base64')}\r\n`);
}

const ANSWER_OCTETS = 65_536;

/** What a line with its line end says in base64; null: something else. */
function base64Of(line: Buffer): Buffer | null {
  return decodeBase64(line.subarray(0, -2));
}

function protocol(): SealgateError {
  return new SealgateError({
    code: 'upstream.login',
    publicText: 'The login could not be completed. Connect again.',
    duration: 'temporary',
    reason: 'login upstream out of order',
  });
}

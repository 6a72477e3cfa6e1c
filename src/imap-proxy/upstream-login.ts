import { SealgateError } from '../errors.ts';
import { type Credentials, plainMessage } from '../sasl/credentials.ts';
import { capabilityList, cleanCapability, cleanStatus, readServerLine } from './server-line.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import type { Wire } from './wire.ts';

export type LoginVerdict = { status: 'OK' | 'NO' | 'BAD' } | { status: 'lost' };

/**
 * Logs in upstream with what the client gave, under the client's own tag, and hands the upstream's verdict back in its own
 * words. The credentials go into nothing but the upstream's socket.
 */
export async function loginUpstream(
  upstream: UpstreamConnection,
  tag: string,
  credentials: Credentials,
  client: Wire,
): Promise<LoginVerdict> {
  const answers = firstCommand(upstream, tag, credentials);
  const { wire } = upstream;
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
        else if (credentials.kind === 'token') await relayChallenge(wire, client, event.octets);
        else wire.write('*\r\n');
        break;
      }
      case 'tagged':
        if (line.tag !== tag) throw protocol();
        client.write(cleanStatus(event.octets));
        return { status: line.status };
      case 'capability':
        client.write(cleanCapability(event.octets));
        break;
      case 'status':
        if (line.status === 'PREAUTH') throw protocol();
        client.write(cleanStatus(event.octets));
        break;
      default:
        break;
    }
  }
}

/** Sends the first line; returns the answers to the continuation requests that are to come. */
function firstCommand(
  upstream: UpstreamConnection,
  tag: string,
  credentials: Credentials,
): (Buffer | string)[] {
  const { wire, capabilities } = upstream;
  const initial = capabilities.has('SASL-IR');
  if (credentials.kind === 'token') {
    const response = Buffer.from(credentials.secret.reveal(), 'latin1').toString('base64');
    wire.write(`${tag} AUTHENTICATE ${credentials.mechanism}${initial ? ` ${response}` : ''}\r\n`);
    return initial ? [] : [`${response}\r\n`];
  }
  if (capabilities.has('AUTH=PLAIN')) {
    const response = plainMessage(credentials).toString('base64');
    wire.write(`${tag} AUTHENTICATE PLAIN${initial ? ` ${response}` : ''}\r\n`);
    return initial ? [] : [`${response}\r\n`];
  }
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

/** The reason of a refused token (RFC 7628 §3.2.3) goes to the client, its answer back. */
async function relayChallenge(wire: Wire, client: Wire, challenge: Buffer): Promise<void> {
  client.write(challenge);
  const answer = await client.nextText();
  if (answer === null || answer.length > 65_536) throw protocol();
  wire.write(answer);
}

function protocol(): SealgateError {
  return new SealgateError({
    code: 'imap.protocol',
    publicText: 'The login could not be completed. Connect again.',
    duration: 'temporary',
    reason: 'login upstream out of order',
  });
}

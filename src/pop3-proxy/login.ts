import { unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import { decodeBase64 } from '../sasl/base64.ts';
import {
  type Credentials,
  MALFORMED,
  readLogin,
  readOauthBearer,
  readPlain,
  readXoauth2,
  type SaslRefusal,
} from '../sasl/credentials.ts';
import type { Mechanism } from '../sasl/mechanism.ts';
import { Principal } from '../sasl/principal.ts';
import { capabilitiesFor, offeredMechanisms } from './capability.ts';
import type { ClientLines } from './client-lines.ts';
import { type ClientCommand, readCommandLine } from './command-line.ts';
import { cleanStatus, refusal } from './reply-text.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import { loginUpstream } from './upstream-login.ts';

export type LoginState = {
  client: ClientLines;
  upstream: UpstreamConnection;
  /** STLS is offered here. */
  startTls: boolean;
  /** The connection is encrypted, or need not be. */
  loginAllowed: boolean;
  hostname: string;
  /** Whether to greet: not after STLS (RFC 2595 §4). */
  greet: boolean;
};

export type LoginOutcome =
  | { kind: 'logged-in'; principal: Principal; mechanism: string }
  | { kind: 'start-tls' }
  | { kind: 'closed'; cause: string };

type Given = { credentials: Credentials | SaslRefusal; mechanism: string };

/**
 * The AUTHORIZATION state (RFC 1939 §4). Everything is answered here except the login itself, whose verdict is the upstream's.
 * Throws SealgateError `pop3.protocol`, `pop3.framing`, `upstream.login`.
 */
export async function converseBeforeLogin(state: LoginState): Promise<LoginOutcome> {
  const { client, upstream } = state;
  if (state.greet) client.leg.write(`+OK ${state.hostname} Sealgate ready\r\n`);
  let user: Buffer | null = null;
  let failures = 0;
  for (let count = 0; count < limits.pop3.commandsBeforeAuth; count++) {
    const line = await client.next();
    if (line === null) return { kind: 'closed', cause: `client: ${client.leg.cause}` };
    const command = readCommandLine(line);
    const given = user;
    // Whatever comes between USER and PASS, the name is said anew (RFC 1939 §7).
    user = null;
    switch (command.verb) {
      case 'CAPA':
        client.leg.write(capabilities(state));
        break;
      case 'QUIT':
        upstream.replies.leg.write('QUIT\r\n');
        client.leg.write('+OK Goodbye\r\n');
        return { kind: 'closed', cause: 'quit before login' };
      case 'STLS':
        if (!state.startTls) {
          client.leg.write(refusal(null, 'TLS is not offered here, or active already'));
          break;
        }
        // What came with it came unencrypted, from anybody.
        if (client.buffered > 0) return { kind: 'closed', cause: 'commands behind STLS' };
        client.leg.write('+OK Begin TLS\r\n');
        return { kind: 'start-tls' };
      case 'USER':
        if (!mayLogIn(state, 'PLAIN')) break;
        user = Buffer.from(command.argument);
        client.leg.write('+OK Send PASS\r\n');
        break;
      case 'PASS':
      case 'AUTH': {
        const outcome = await logIn(state, command, given);
        if (outcome === 'answered') break;
        if (outcome !== 'failed') return outcome;
        if (++failures < limits.pop3.authFailuresPerSession) break;
        return { kind: 'closed', cause: 'too many failed logins' };
      }
      case null:
        client.leg.write(refusal(null, fault(command.fault)));
        break;
      default:
        client.leg.write(refusal(null, 'Log in first'));
    }
  }
  client.leg.write(refusal(null, 'Too many commands before login'));
  return { kind: 'closed', cause: 'too many commands before login' };
}

function fault(kind: 'malformed' | 'unknown'): string {
  return kind === 'unknown' ? 'Unknown command, or not offered here' : 'Malformed arguments';
}

function capabilities(state: LoginState): string {
  return ['+OK', ...capabilitiesFor(state.upstream.capabilities, state), '.', ''].join('\r\n');
}

/** Answers where it may not. */
function mayLogIn({ client, upstream, loginAllowed }: LoginState, mechanism: string): boolean {
  if (!loginAllowed) {
    client.leg.write(refusal(null, 'Start TLS (STLS) before you log in'));
    return false;
  }
  if (offeredMechanisms(upstream.capabilities).some((each) => each === mechanism)) return true;
  client.leg.write(refusal(null, 'This way to log in is not offered'));
  return false;
}

async function logIn(
  state: LoginState,
  command: Extract<ClientCommand, { verb: 'AUTH' | 'PASS' }>,
  user: Buffer | null,
): Promise<Exclude<LoginOutcome, { kind: 'start-tls' }> | 'answered' | 'failed'> {
  const { client, upstream } = state;
  const given =
    command.verb === 'PASS' ? readPass(state, command.argument, user) : await readSasl(state, command);
  if (given === 'closed') return { kind: 'closed', cause: `client: ${client.leg.cause}` };
  if (given === 'answered') return 'answered';
  const { credentials, mechanism } = given;
  if (credentials.kind === 'refused') {
    client.leg.write(refusal('AUTH', credentials.why));
    return 'failed';
  }
  const verdict = await loginUpstream(upstream, credentials, client);
  const responseCodes = upstream.capabilities.list.has('RESP-CODES');
  switch (verdict.kind) {
    case 'accepted':
      client.leg.write(`${cleanStatus(verdict.text, responseCodes)}\r\n`);
      return { kind: 'logged-in', principal: Principal.proven(credentials), mechanism };
    case 'rejected':
      client.leg.write(`${cleanStatus(verdict.text, responseCodes)}\r\n`);
      return 'failed';
    case 'unsayable':
      client.leg.write(refusal('AUTH', 'The mail server cannot be told this user name'));
      return 'failed';
    case 'lost':
      client.leg.write(refusal('SYS/TEMP', 'The mail server closed the connection'));
      return { kind: 'closed', cause: 'mail server closed during login' };
    default:
      return unreachable(verdict);
  }
}

function readPass(state: LoginState, password: Buffer, user: Buffer | null): Given | 'answered' {
  if (!mayLogIn(state, 'PLAIN')) return 'answered';
  if (user === null) {
    state.client.leg.write(refusal(null, 'Send USER first'));
    return 'answered';
  }
  return { credentials: readLogin(user, password), mechanism: 'USER' };
}

/** RFC 5034 §4: `AUTH mechanism [initial-response]`, then answers in Base64. */
async function readSasl(
  state: LoginState,
  { mechanism: name, initial }: Extract<ClientCommand, { verb: 'AUTH' }>,
): Promise<Given | 'answered' | 'closed'> {
  const { client, upstream } = state;
  const offered = state.loginAllowed ? offeredMechanisms(upstream.capabilities) : [];
  if (name === null) {
    client.leg.write(['+OK', ...offered, '.', ''].join('\r\n'));
    return 'answered';
  }
  const mechanism = offered.find((each) => each === name);
  if (mechanism === undefined) {
    mayLogIn(state, name);
    return 'answered';
  }
  const first =
    initial === null ? await ask(client, mechanism === 'LOGIN' ? 'Username:' : '') : decoded(initial);
  if (first === 'closed' || first === 'cancelled') return notGiven(client, first);
  if (mechanism !== 'LOGIN')
    return { credentials: first === null ? MALFORMED : readMessage(mechanism, first), mechanism };
  if (first === null) return { credentials: MALFORMED, mechanism };
  const password = await ask(client, 'Password:');
  if (password === 'closed' || password === 'cancelled') return notGiven(client, password);
  return { credentials: password === null ? MALFORMED : readLogin(first, password), mechanism };
}

function notGiven(client: ClientLines, why: 'cancelled' | 'closed'): 'answered' | 'closed' {
  if (why === 'closed') return why;
  client.leg.write(refusal(null, 'Cancelled'));
  return 'answered';
}

function readMessage(mechanism: Exclude<Mechanism, 'LOGIN'>, message: Buffer): Credentials | SaslRefusal {
  switch (mechanism) {
    case 'PLAIN':
      return readPlain(message);
    case 'XOAUTH2':
      return readXoauth2(message);
    case 'OAUTHBEARER':
      return readOauthBearer(message);
  }
}

/** null: not Base64. */
type Answer = Buffer | 'cancelled' | 'closed' | null;

async function ask(client: ClientLines, challenge: string): Promise<Answer> {
  client.leg.write(`+ ${Buffer.from(challenge, 'latin1').toString('base64')}\r\n`);
  const line = await client.next();
  return line === null ? 'closed' : decoded(line.toString('latin1'));
}

/** "*" takes the attempt back; "=" alone stands for an empty initial response (RFC 5034 §4). */
function decoded(text: string): Answer {
  if (text === '*') return 'cancelled';
  return decodeBase64(Buffer.from(text === '=' ? '' : text, 'latin1'));
}

import { SealgateError } from '../errors.ts';
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
import { capabilitiesBeforeLogin, offeredMechanisms } from './capability.ts';
import { type CommandStart, type Piece, readArguments, readCommandStart } from './client-command.ts';
import type { FramerEvent } from './framer.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import { loginUpstream } from './upstream-login.ts';
import type { Wire } from './wire.ts';

type LineEvent = Extract<FramerEvent, { type: 'line' }>;

export type LoginState = {
  client: Wire;
  upstream: UpstreamConnection;
  /** STARTTLS is offered here. */
  startTls: boolean;
  /** The connection is encrypted, or need not be. */
  loginAllowed: boolean;
  hostname: string;
  /** Whether to greet: not after STARTTLS. */
  greet: boolean;
};

export type LoginOutcome =
  | { kind: 'logged-in'; principal: Principal; mechanism: string }
  | { kind: 'start-tls' }
  | { kind: 'closed'; cause: string };

/** Octets of one command before login, literals included; a token may be long. */
const COMMAND_OCTETS = 65_536;
const FAILURES = 5;
/** Commands before login; a client needs a handful. */
const COMMANDS = 50;

/**
 * The conversation before login. Everything is answered here except the login itself, whose verdict is the upstream's.
 * Throws SealgateError `imap.framing`, `imap.protocol`.
 */
export async function converseBeforeLogin(state: LoginState): Promise<LoginOutcome> {
  const { client } = state;
  if (state.greet) {
    client.write(`* OK [CAPABILITY ${capabilities(state)}] ${state.hostname} Sealgate ready\r\n`);
  }
  let failures = 0;
  for (let count = 0; count < COMMANDS; count++) {
    const command = await nextCommand(client);
    if (command === null) return { kind: 'closed', cause: client.cause };
    if (command === 'refused') continue;
    const { start, pieces } = command;
    const { tag } = start;
    switch (start.name) {
      case 'CAPABILITY':
        client.write(`* CAPABILITY ${capabilities(state)}\r\n${tag} OK Done\r\n`);
        break;
      case 'NOOP':
        client.write(`${tag} OK Done\r\n`);
        break;
      case 'ID':
        client.write(`* ID ("name" "Sealgate")\r\n${tag} OK Done\r\n`);
        break;
      case 'LOGOUT':
        client.write(`* BYE Goodbye\r\n${tag} OK Done\r\n`);
        return { kind: 'closed', cause: 'logged out' };
      case 'STARTTLS':
        if (!state.startTls) {
          client.write(`${tag} BAD TLS is not offered here\r\n`);
          break;
        }
        // What came with it came unencrypted, from anybody (RFC 9051 §11.1).
        if (client.buffered > 0) return { kind: 'closed', cause: 'commands behind STARTTLS' };
        client.write(`${tag} OK Begin TLS\r\n`);
        return { kind: 'start-tls' };
      case 'LOGIN':
      case 'AUTHENTICATE': {
        const outcome = await logIn(state, start, pieces);
        if (outcome !== 'failed') return outcome;
        if (++failures >= FAILURES) {
          client.write('* BYE Too many failed logins\r\n');
          return { kind: 'closed', cause: 'too many failed logins' };
        }
        break;
      }
      default:
        client.write(`${tag} BAD Unknown command, or not before login\r\n`);
    }
  }
  client.write('* BYE Too many commands before login\r\n');
  return { kind: 'closed', cause: 'too many commands before login' };
}

function capabilities(state: LoginState): string {
  return capabilitiesBeforeLogin({
    mechanisms: offeredMechanisms(state.upstream.capabilities),
    startTls: state.startTls,
    loginAllowed: state.loginAllowed,
  }).join(' ');
}

async function logIn(
  state: LoginState,
  start: CommandStart,
  pieces: readonly Piece[],
): Promise<Extract<LoginOutcome, { kind: 'logged-in' | 'closed' }> | 'failed'> {
  const { client, upstream } = state;
  const { tag } = start;
  if (!state.loginAllowed) {
    client.write(`${tag} NO [PRIVACYREQUIRED] Start TLS before you log in\r\n`);
    return 'failed';
  }
  const given = start.name === 'LOGIN' ? readLoginCommand(pieces) : await readSasl(state, tag, pieces);
  if (given === 'closed') return { kind: 'closed', cause: client.cause };
  if (given === 'answered') return 'failed';
  const { credentials, mechanism } = given;
  if (credentials.kind === 'refused') {
    client.write(`${tag} ${refusalText(credentials)}\r\n`);
    return 'failed';
  }
  const verdict = await loginUpstream(upstream, tag, credentials, client);
  if (verdict.status === 'lost') {
    client.write('* BYE [UNAVAILABLE] Connection to the mail server was closed.\r\n');
    return { kind: 'closed', cause: 'mail server closed during login' };
  }
  if (verdict.status !== 'OK') return 'failed';
  return { kind: 'logged-in', principal: Principal.proven(credentials), mechanism };
}

type Given = { credentials: Credentials | SaslRefusal; mechanism: string };

function refusalText({ reason, why }: SaslRefusal): string {
  switch (reason) {
    case 'malformed':
      return `BAD ${why}`;
    case 'on-behalf':
      return `NO [AUTHORIZATIONFAILED] ${why}`;
    case 'no-identity':
      return `NO [AUTHENTICATIONFAILED] ${why}`;
  }
}

// login = "LOGIN" SP userid SP password ; both astrings
function readLoginCommand(pieces: readonly Piece[]): Given {
  const [login, password, more] = readArguments(pieces) ?? [];
  const mechanism = 'LOGIN command';
  if (login?.kind !== 'string' || password?.kind !== 'string' || more !== undefined) {
    return { credentials: MALFORMED, mechanism };
  }
  return { credentials: readLogin(login.octets, password.octets), mechanism };
}

// authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] *(CRLF base64)
async function readSasl(
  state: LoginState,
  tag: string,
  pieces: readonly Piece[],
): Promise<Given | 'answered' | 'closed'> {
  const { client, upstream } = state;
  const [only] = pieces;
  const [name = '', initial, more] = only?.kind === 'text' && pieces.length === 1 ? only.text.split(' ') : [];
  const mechanism = offeredMechanisms(upstream.capabilities).find((each) => each === name.toUpperCase());
  if (mechanism === undefined || more !== undefined) {
    client.write(`${tag} NO [CANNOT] This mechanism is not offered\r\n`);
    return 'answered';
  }
  const first = initial === undefined ? await ask(client, tag, '') : decoded(client, tag, initial);
  if (first === 'closed' || first === 'answered') return first;
  if (mechanism !== 'LOGIN') return { credentials: readResponse(mechanism, first), mechanism };
  const password = await ask(client, tag, 'Password:');
  if (password === 'closed' || password === 'answered') return password;
  return { credentials: readLogin(first, password), mechanism };
}

function readResponse(mechanism: Exclude<Mechanism, 'LOGIN'>, response: Buffer): Credentials | SaslRefusal {
  switch (mechanism) {
    case 'PLAIN':
      return readPlain(response);
    case 'XOAUTH2':
      return readXoauth2(response);
    case 'OAUTHBEARER':
      return readOauthBearer(response);
  }
}

async function ask(client: Wire, tag: string, challenge: string): Promise<Buffer | 'answered' | 'closed'> {
  client.write(`+ ${Buffer.from(challenge, 'latin1').toString('base64')}\r\n`);
  const line = await client.nextText();
  if (line === null) return 'closed';
  return decoded(client, tag, line.toString('latin1', 0, line.length - 2));
}

function decoded(client: Wire, tag: string, text: string): Buffer | 'answered' {
  // "*" takes the attempt back (RFC 9051 §6.2.2).
  // "=" alone stands for an empty response (RFC 4959 §3).
  const octets = text === '*' ? null : decodeBase64(Buffer.from(text === '=' ? '' : text, 'latin1'));
  if (octets !== null) return octets;
  client.write(`${tag} BAD ${text === '*' ? 'Cancelled' : 'Not base64'}\r\n`);
  return 'answered';
}

/** Reads a whole command, its literals included. `refused`: it was answered already. null: the client has gone. */
async function nextCommand(
  client: Wire,
): Promise<{ start: CommandStart; pieces: Piece[] } | 'refused' | null> {
  const first = await client.next();
  if (first === null) return null;
  if (first.type !== 'line') throw protocol('a literal without a command');
  const start = readCommandStart(withoutLiteral(first));
  if (start === null) throw protocol('a line without a tag');
  const pieces: Piece[] = [{ kind: 'text', text: start.argument }];
  let octets = first.octets.length;
  for (let line = first; line.literal !== null; ) {
    const { size, nonSync } = line.literal;
    octets += size;
    if (octets > COMMAND_OCTETS) {
      if (nonSync) throw protocol('a command before login is larger than allowed');
      client.abandonLiteral();
      client.write(`${start.tag} NO [LIMIT] Too large\r\n`);
      return 'refused';
    }
    if (!nonSync) client.write('+ Go on\r\n');
    const chunks: Buffer[] = [];
    for (let left = size; left > 0; ) {
      const part = await client.next();
      if (part === null) return null;
      if (part.type !== 'literal') throw protocol('a line inside a literal');
      chunks.push(part.octets);
      left = part.remaining;
    }
    const next = await client.next();
    if (next === null) return null;
    if (next.type !== 'line') throw protocol('a literal out of place');
    pieces.push({ kind: 'literal', octets: Buffer.concat(chunks) });
    const text = withoutLiteral(next);
    pieces.push({ kind: 'text', text: text.toString('latin1', 0, text.length - 2) });
    octets += next.octets.length;
    line = next;
  }
  return { start, pieces };
}

/** The line up to the `{n}` that ends it, with a line end. */
function withoutLiteral(event: LineEvent): Buffer {
  if (event.literal === null) return event.octets;
  return Buffer.from(event.octets.toString('latin1').replace(/~?\{[0-9]+\+?\}\r\n$/, '\r\n'), 'latin1');
}

function protocol(reason: string): SealgateError {
  return new SealgateError({
    code: 'imap.protocol',
    publicText: 'The client does not follow the IMAP protocol. Connect again.',
    duration: 'permanent',
    reason,
  });
}

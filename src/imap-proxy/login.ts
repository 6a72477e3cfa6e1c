import type { ClientGuard } from '../connections/client-guard.ts';
import type { BeforeLogin, LoginOutcome as Outcome } from '../sasl/before-login.ts';
import { type SaslRefusal, whatWasSaid } from '../sasl/credentials.ts';
import { Principal } from '../sasl/principal.ts';
import { rawLogin } from '../sasl/raw-login.ts';
import { type RelayedExchange, RelayedLogin } from '../sasl/relayed-identity.ts';
import { capabilitiesBeforeLogin, offeredMechanisms, type Telling } from './capability.ts';
import type { CommandStart, Piece } from './client-command.ts';
import { type ClientId, readClientId } from './client-id.ts';
import { nextCommand } from './command-before-login.ts';
import { clientProtocol } from './commands/command-context.ts';
import { readLoginCommand, readSasl } from './read-login.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import { type LoginAttempt, loginUpstream } from './upstream-login.ts';
import { whileServerStays } from './while-server-stays.ts';
import type { Wire } from './wire.ts';

export type LoginState = BeforeLogin & {
  client: Wire;
  upstream: UpstreamConnection;
  guard: ClientGuard;
  telling: Telling;
};

export type LoginOutcome =
  /** `clientId`: what the client last said of itself; null: nothing. */
  | (Extract<Outcome, { kind: 'logged-in' }> & { clientId: ClientId | null })
  | Exclude<Outcome, { kind: 'logged-in' }>;

const FAILURES = 5;
/** Commands before login; a client needs a handful. */
const COMMANDS = 50;

/**
 * The conversation before login. Everything is answered here except the login itself, whose verdict is the upstream's.
 * Throws SealgateError `imap.framing`, `imap.protocol`, `upstream.framing`, `upstream.login`.
 */
export async function converseBeforeLogin(state: LoginState): Promise<LoginOutcome> {
  const { client } = state;
  if (state.greet) {
    client.write(`* OK [CAPABILITY ${capabilities(state)}] ${state.hostname} Sealgate ready\r\n`);
  }
  let failures = 0;
  let clientId: ClientId | null = null;
  for (let count = 0; count < COMMANDS; count++) {
    const command = await whileServerStays(client, state.upstream.wire, () => nextCommand(client));
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
      case 'ID': {
        // Kept back: before login the upstream may believe what an ID says of whose connection it is.
        const id = readClientId(pieces);
        if (id !== null) clientId = id;
        client.write(
          id === null ? `${tag} BAD Malformed ID\r\n` : `* ID ("name" "Sealgate")\r\n${tag} OK Done\r\n`,
        );
        break;
      }
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
        if (outcome !== 'failed') return outcome.kind === 'closed' ? outcome : { ...outcome, clientId };
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
    mechanisms: offered(state),
    startTls: state.startTls,
    loginAllowed: state.loginAllowed,
    hidden: state.telling.hidden,
  }).join(' ');
}

function offered({ upstream, relayMechanisms }: LoginState): ReturnType<typeof offeredMechanisms> {
  return offeredMechanisms(upstream.capabilities, relayMechanisms);
}

type LoggedIn = Omit<Extract<LoginOutcome, { kind: 'logged-in' }>, 'clientId'>;

async function logIn(
  state: LoginState,
  start: CommandStart,
  pieces: readonly Piece[],
): Promise<LoggedIn | Extract<LoginOutcome, { kind: 'closed' }> | 'failed'> {
  const { client } = state;
  const { tag } = start;
  if (!state.loginAllowed) {
    client.write(`${tag} NO [PRIVACYREQUIRED] Start TLS before you log in\r\n`);
    return 'failed';
  }
  // RFC 9051 §6.2.3: no password goes to a server that takes none.
  if (start.name === 'LOGIN' && !offered(state).includes('PLAIN')) {
    client.write(`${tag} NO [CANNOT] Passwords are not taken here\r\n`);
    return 'failed';
  }
  const given =
    start.name === 'LOGIN'
      ? readLoginCommand(pieces)
      : await whileServerStays(client, state.upstream.wire, () =>
          readSasl(client, tag, pieces, offered(state)),
        );
  if (given === 'closed') return { kind: 'closed', cause: client.cause };
  if (given === 'answered') return 'failed';
  const { attempt, mechanism } = given;
  if (attempt.kind === 'refused') {
    client.write(`${tag} ${refusalText(attempt)}\r\n`);
    return 'failed';
  }
  if (attempt.kind === 'relayed') return await relay(state, tag, attempt);
  const stored = rawLogin(attempt, state.rawLoginSuffix);
  const asStored = stored !== null;
  const credentials = stored ?? attempt;
  const verdict = await verdictOf(state, tag, credentials, (answer) => answer, asStored);
  if (verdict !== 'accepted') return verdict;
  return { kind: 'logged-in', principal: Principal.proven(credentials), mechanism, asStored };
}

/** An exchange in which the password does not travel. */
async function relay(
  state: LoginState,
  tag: string,
  attempt: RelayedExchange,
): Promise<LoggedIn | Extract<LoginOutcome, { kind: 'closed' }> | 'failed'> {
  const { mechanism, first } = attempt;
  const login = new RelayedLogin(mechanism);
  const refusal = first === null ? null : login.hear(first);
  if (refusal !== null) {
    state.client.write(`${tag} ${refusalText(refusal)}\r\n`);
    return 'failed';
  }
  const challenged = (answer: Buffer): Buffer | null => (login.hear(answer) === null ? answer : null);
  const verdict = await verdictOf(state, tag, attempt, challenged, false);
  if (verdict !== 'accepted') return verdict;
  // An upstream that lets somebody in before it has been told whom has let in nobody that has keys here.
  if (login.identity === null) throw clientProtocol('a login without an identity');
  return { kind: 'logged-in', principal: Principal.proven(login.identity), mechanism, asStored: false };
}

async function verdictOf(
  { client, upstream, telling, guard }: LoginState,
  tag: string,
  attempt: LoginAttempt,
  challenged: (answer: Buffer) => Buffer | null,
  asStored: boolean,
): Promise<'accepted' | 'failed' | Extract<LoginOutcome, { kind: 'closed' }>> {
  const said = whatWasSaid(attempt);
  if (!(await guard.mayLogIn(said, client.signal))) {
    client.write(`${tag} NO [UNAVAILABLE] Too many failed logins from your address; try again later\r\n`);
    return 'failed';
  }
  const verdict = await loginUpstream({ upstream, tag, attempt, client, challenged, asStored, telling });
  if (verdict.status === 'lost') {
    if (client.ended) guard.loginFailed(said);
    client.write('* BYE [UNAVAILABLE] Connection to the mail server was closed.\r\n');
    return { kind: 'closed', cause: 'mail server closed during login' };
  }
  if (verdict.status === 'OK') {
    guard.loginAccepted(said);
    return 'accepted';
  }
  if (!verdict.forNow) guard.loginFailed(said);
  return 'failed';
}

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

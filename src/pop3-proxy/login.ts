import type { ClientGuard } from '../connections/client-guard.ts';
import { SealgateError, unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import type { BeforeLogin, LoginOutcome } from '../sasl/before-login.ts';
import { whatWasSaid } from '../sasl/credentials.ts';
import { Principal } from '../sasl/principal.ts';
import { rawLogin } from '../sasl/raw-login.ts';
import { type RelayedExchange, RelayedLogin } from '../sasl/relayed-identity.ts';
import { capabilitiesFor, offeredMechanisms } from './capability.ts';
import type { ClientLines } from './client-lines.ts';
import { type ClientCommand, readCommandLine } from './command-line.ts';
import { readPass, readSasl } from './read-login.ts';
import { cleanStatus, refusal } from './reply-text.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import { type LoginAttempt, loginUpstream } from './upstream-login.ts';

export type LoginState = BeforeLogin & {
  client: ClientLines;
  upstream: UpstreamConnection;
  guard: ClientGuard;
};

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
  client.leg.write(refusal(null, 'Too many commands before login. Connect again.'));
  return { kind: 'closed', cause: 'too many commands before login' };
}

function fault(kind: 'malformed' | 'unknown'): string {
  return kind === 'unknown' ? 'Unknown command, or not offered here' : 'Malformed arguments';
}

function capabilities(state: LoginState): string {
  return ['+OK', ...capabilitiesFor(state.upstream.capabilities, state), '.', ''].join('\r\n');
}

function offered({
  upstream,
  loginAllowed,
  relayMechanisms,
}: LoginState): ReturnType<typeof offeredMechanisms> {
  return loginAllowed ? offeredMechanisms(upstream.capabilities, relayMechanisms) : [];
}

/** Answers where it may not. */
function mayLogIn(state: LoginState, mechanism: string | null): boolean {
  const { client, loginAllowed } = state;
  if (!loginAllowed && mechanism !== null) {
    client.leg.write(refusal(null, 'Start TLS (STLS) before you log in'));
    return false;
  }
  if (mechanism === null || offered(state).some((each) => each === mechanism)) return true;
  client.leg.write(refusal(null, 'This way to log in is not offered'));
  return false;
}

type LoggedIn = Extract<LoginOutcome, { kind: 'logged-in' }>;
type Closed = Extract<LoginOutcome, { kind: 'closed' }>;

async function logIn(
  state: LoginState,
  command: Extract<ClientCommand, { verb: 'AUTH' | 'PASS' }>,
  user: Buffer | null,
): Promise<LoggedIn | Closed | 'answered' | 'failed'> {
  const { client } = state;
  if (!mayLogIn(state, command.verb === 'PASS' ? 'PLAIN' : command.mechanism)) return 'answered';
  const given =
    command.verb === 'PASS'
      ? readPass(client, user, command.argument)
      : await readSasl(client, command, offered(state));
  if (given === 'closed') return { kind: 'closed', cause: `client: ${client.leg.cause}` };
  if (given === 'answered') return 'answered';
  const { attempt, mechanism } = given;
  if (attempt.kind === 'refused') return refuse(state, attempt.why);
  if (attempt.kind === 'relayed') return await relay(state, attempt);
  const stored = rawLogin(attempt, state.rawLoginSuffix);
  const credentials = stored ?? attempt;
  const verdict = await verdictOf(state, credentials, (answer) => answer);
  if (verdict !== 'accepted') return verdict;
  const principal = Principal.proven(credentials);
  return { kind: 'logged-in', principal, mechanism, asStored: stored !== null };
}

/** An exchange in which the password does not travel. */
async function relay(state: LoginState, attempt: RelayedExchange): Promise<LoggedIn | Closed | 'failed'> {
  const { mechanism, first } = attempt;
  const login = new RelayedLogin(mechanism);
  const refusal = first === null ? null : login.hear(first);
  if (refusal !== null) return refuse(state, refusal.why);
  const verdict = await verdictOf(state, attempt, (answer) => (login.hear(answer) === null ? answer : null));
  if (verdict !== 'accepted') return verdict;
  // A server that lets somebody in before it has been told whom has let in nobody that has keys here.
  if (login.identity === null) throw withoutIdentity();
  return { kind: 'logged-in', principal: Principal.proven(login.identity), mechanism, asStored: false };
}

function refuse({ client }: LoginState, why: string): 'failed' {
  client.leg.write(refusal('AUTH', why));
  return 'failed';
}

/** A verdict that says nothing of the credentials, or that they were right (RFC 2449 §8.1, RFC 3206 §4). */
const FOR_NOW = /^-ERR \[(?:SYS\/TEMP|IN-USE|LOGIN-DELAY)\]/i;

async function verdictOf(
  state: LoginState,
  attempt: LoginAttempt,
  challenged: (answer: Buffer) => Buffer | null,
): Promise<'accepted' | 'failed' | Closed> {
  const { client, upstream, guard } = state;
  const said = whatWasSaid(attempt);
  if (!(await guard.mayLogIn(said, client.leg.signal))) {
    client.leg.write(refusal('SYS/TEMP', 'Too many failed logins from your address. Try again later.'));
    return 'failed';
  }
  const verdict = await loginUpstream(upstream, attempt, client, challenged);
  switch (verdict.kind) {
    case 'accepted':
    case 'rejected': {
      const responseCodes = upstream.capabilities.list.has('RESP-CODES');
      client.leg.write(`${cleanStatus(verdict.text, responseCodes)}\r\n`);
      if (verdict.kind === 'accepted') {
        guard.loginAccepted(said);
        return 'accepted';
      }
      if (!FOR_NOW.test(verdict.text)) guard.loginFailed(said);
      return 'failed';
    }
    case 'unsayable':
      return refuse(state, 'The mail server cannot be told this user name');
    case 'lost':
      if (client.leg.signal.aborted) guard.loginFailed(said);
      client.leg.write(refusal('SYS/TEMP', 'The mail server closed the connection. Connect again.'));
      return { kind: 'closed', cause: 'mail server closed during login' };
    default:
      return unreachable(verdict);
  }
}

function withoutIdentity(): SealgateError {
  return new SealgateError({
    code: 'upstream.login',
    publicText: 'The login could not be completed. Connect again.',
    duration: 'temporary',
    reason: 'a login without an identity',
  });
}

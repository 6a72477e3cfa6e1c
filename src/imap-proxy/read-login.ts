import { decodeBase64 } from '../sasl/base64.ts';
import { MALFORMED, readLogin, readMessage, type SaslRefusal } from '../sasl/credentials.ts';
import { asMechanism, type Mechanism } from '../sasl/mechanism.ts';
import {
  clientSpeaksFirst,
  isRelayed,
  RELAYED_MECHANISMS,
  type RelayedExchange,
  type RelayedMechanism,
} from '../sasl/relayed-identity.ts';
import { type Piece, readArguments } from './client-command.ts';
import type { LoginAttempt } from './upstream-login.ts';
import type { Wire } from './wire.ts';

/** What was given in a login command; `mechanism` is for the log. */
export type Given = { attempt: LoginAttempt | SaslRefusal; mechanism: string };

// login = "LOGIN" SP userid SP password ; both astrings
export function readLoginCommand(pieces: readonly Piece[]): Given {
  const [login, password, more] = readArguments(pieces) ?? [];
  const mechanism = 'LOGIN command';
  if (login?.kind !== 'string' || password?.kind !== 'string' || more !== undefined) {
    return { attempt: MALFORMED, mechanism };
  }
  return { attempt: readLogin(login.octets, password.octets), mechanism };
}

/**
 * Reads AUTHENTICATE as far as what the client has to say first, asking it for that. `answered`: it was refused already, `closed`: the
 * client has gone.
 *
 *   authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] *(CRLF base64)
 */
export async function readSasl(
  client: Wire,
  tag: string,
  pieces: readonly Piece[],
  offered: readonly (Mechanism | RelayedMechanism)[],
): Promise<Given | 'answered' | 'closed'> {
  const [only] = pieces;
  const [name = '', initial, more] = only?.kind === 'text' && pieces.length === 1 ? only.text.split(' ') : [];
  const relayed = RELAYED_MECHANISMS.find((each) => each === name.toUpperCase()) ?? null;
  const mechanism = relayed ?? asMechanism(name);
  if (mechanism === null || !offered.includes(mechanism) || more !== undefined) {
    client.write(`${tag} NO [CANNOT] This mechanism is not offered\r\n`);
    return 'answered';
  }
  if (relayed !== null && !clientSpeaksFirst(relayed)) {
    if (initial === undefined) return given({ kind: 'relayed', mechanism: relayed, first: null });
    client.write(`${tag} BAD The server speaks first\r\n`);
    return 'answered';
  }
  const first = initial === undefined ? await ask(client, tag, '') : decoded(client, tag, initial);
  if (first === 'closed' || first === 'answered') return first;
  if (mechanism !== 'LOGIN') {
    return isRelayed(mechanism)
      ? given({ kind: 'relayed', mechanism, first })
      : { attempt: readMessage(mechanism, first), mechanism };
  }
  const password = await ask(client, tag, 'Password:');
  if (password === 'closed' || password === 'answered') return password;
  return { attempt: readLogin(first, password), mechanism };
}

function given(attempt: RelayedExchange): Given {
  return { attempt, mechanism: attempt.mechanism };
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

import { decodeBase64 } from '../sasl/base64.ts';
import {
  type Credentials,
  MALFORMED,
  readLogin,
  readMessage,
  type SaslRefusal,
} from '../sasl/credentials.ts';
import type { Mechanism } from '../sasl/mechanism.ts';
import { isRelayed, type RelayedExchange, type RelayedMechanism } from '../sasl/relayed-identity.ts';
import type { ClientLines } from './client-lines.ts';
import type { ClientCommand } from './command-line.ts';
import { refusal } from './reply-text.ts';

/** What a client has given to log in with. `answered`: it has its answer already, and it was no failed login. */
export type Given =
  | { attempt: Credentials | RelayedExchange | SaslRefusal; mechanism: string }
  | 'answered'
  | 'closed';

/** `user`: what USER said right before. */
export function readPass(client: ClientLines, user: Buffer | null, password: Buffer): Given {
  if (user !== null) return { attempt: readLogin(user, password), mechanism: 'USER' };
  client.leg.write(refusal(null, 'Send USER first'));
  return 'answered';
}

/** RFC 5034 §4: `AUTH mechanism [initial-response]`, then answers in Base64. The mechanism is one of those that are offered. */
export async function readSasl(
  client: ClientLines,
  { mechanism: name, initial }: Extract<ClientCommand, { verb: 'AUTH' }>,
  offered: readonly (Mechanism | RelayedMechanism)[],
): Promise<Given> {
  const mechanism = offered.find((each) => each === name);
  if (mechanism === undefined) {
    client.leg.write(['+OK', ...offered, '.', ''].join('\r\n'));
    return 'answered';
  }
  if (mechanism === 'CRAM-MD5') {
    // The server speaks first (RFC 2195 §2).
    return { attempt: initial === null ? { kind: 'relayed', mechanism, first: null } : MALFORMED, mechanism };
  }
  const challenge = mechanism === 'LOGIN' ? 'Username:' : '';
  const first = initial === null ? await ask(client, challenge) : decoded(initial);
  if (first === 'closed' || first === 'cancelled') return notGiven(client, first);
  if (first === null) return { attempt: MALFORMED, mechanism };
  if (mechanism !== 'LOGIN')
    return {
      attempt: isRelayed(mechanism) ? { kind: 'relayed', mechanism, first } : readMessage(mechanism, first),
      mechanism,
    };
  const password = await ask(client, 'Password:');
  if (password === 'closed' || password === 'cancelled') return notGiven(client, password);
  return { attempt: password === null ? MALFORMED : readLogin(first, password), mechanism };
}

function notGiven(client: ClientLines, why: 'cancelled' | 'closed'): 'answered' | 'closed' {
  if (why === 'closed') return why;
  client.leg.write(refusal(null, 'Cancelled'));
  return 'answered';
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

import { type Credentials, plainMessage } from '../sasl/credentials.ts';
import { upstreamMechanism } from '../sasl/mechanism.ts';
import { isCompleted, type Reply } from '../smtp/reply.ts';
import type { Answer, Upstream } from './client.ts';

/**
 * Passes a client's credentials on and brings the upstream's verdict back. RFC 4954 §4.
 *
 * What never happens: a success is reported that the upstream did not give for exactly these credentials.
 */
export type AuthOutcome =
  /** 235: the upstream has accepted the login. */
  | { kind: 'accepted'; reply: Reply }
  | { kind: 'rejected'; reply: Reply }
  /**
   * The upstream wants an empty answer before its verdict (the error challenge of XOAUTH2, and RFC 7628 §3.2.3).
   * `answer` passes the client's line on: `''`, `AQ==` or `*`.
   */
  | { kind: 'challenge'; reply: Reply; answer: (line: '' | 'AQ==' | '*') => Promise<AuthOutcome> }
  | { kind: 'lost'; reason: string };

export async function authenticate(upstream: Upstream, credentials: Credentials): Promise<AuthOutcome> {
  const mechanism = upstreamMechanism(credentials.mechanism, upstream.extensions.get('AUTH') ?? []);
  switch (mechanism) {
    case null:
      throw new Error('the mechanism was not offered by the upstream');
    case 'PLAIN':
      return verdict(await initial(upstream, 'PLAIN', plainMessage(credentials)), upstream, 'none');
    case 'LOGIN':
      return await login(upstream, credentials);
    case 'XOAUTH2':
    case 'OAUTHBEARER': {
      const message = Buffer.from(credentials.secret.reveal(), 'latin1');
      return verdict(await initial(upstream, mechanism, message), upstream, 'one');
    }
  }
}

/** With an initial response (RFC 4954 §4) where the line stays short enough for every server, else after a 334. */
async function initial(upstream: Upstream, mechanism: string, message: Buffer): Promise<Answer> {
  const coded = base64Line(message);
  const command = Buffer.from(`AUTH ${mechanism} `, 'latin1');
  // RFC 4954 §4: with an initial response the command must not be longer than 512 octets, or what the extensions allow.
  if (command.length + coded.length <= 512) {
    const line = Buffer.concat([command, coded]);
    coded.fill(0);
    return await upstream.secret(line);
  }
  const ready = await upstream.command(`AUTH ${mechanism}`);
  if (ready.kind === 'lost' || ready.reply.code !== 334) {
    coded.fill(0);
    return ready;
  }
  return await upstream.secret(coded);
}

/** draft-murchison-sasl-login: the two prompts are not looked at. */
async function login(upstream: Upstream, credentials: Credentials): Promise<AuthOutcome> {
  for (const step of ['AUTH', 'user'] as const) {
    const answer =
      step === 'AUTH'
        ? await upstream.command('AUTH LOGIN')
        : await upstream.command(Buffer.from(credentials.login, 'utf8').toString('base64'));
    if (answer.kind === 'lost' || answer.reply.code !== 334) return verdict(answer, upstream, 'none');
  }
  const line = base64Line(Buffer.from(credentials.secret.reveal(), 'latin1'));
  return verdict(await upstream.secret(line), upstream, 'none');
}

/** Wipes `message`. */
function base64Line(message: Buffer): Buffer {
  const line = Buffer.from(`${message.toString('base64')}\r\n`, 'latin1');
  message.fill(0);
  return line;
}

async function verdict(answer: Answer, upstream: Upstream, challenges: 'none' | 'one'): Promise<AuthOutcome> {
  if (answer.kind === 'lost') return answer;
  const { reply } = answer;
  if (reply.code === 235) return { kind: 'accepted', reply };
  if (reply.code === 334 && challenges === 'one') {
    return {
      kind: 'challenge',
      reply,
      answer: async (line) => verdict(await upstream.command(line), upstream, 'none'),
    };
  }
  // Neither a verdict nor a challenge that makes sense: the exchange is broken off, so that the next command is one again.
  if (reply.code === 334) return verdict(await upstream.command('*'), upstream, 'none');
  if (isCompleted(reply)) {
    upstream.abandon();
    return { kind: 'lost', reason: 'it answered AUTH with a code that is not a verdict' };
  }
  return { kind: 'rejected', reply };
}

import { decodeBase64 } from '../sasl/base64.ts';
import type { SaslRefusal } from '../sasl/credentials.ts';
import {
  clientSpeaksFirst,
  type RelayedIdentity,
  RelayedLogin,
  type RelayedMechanism,
} from '../sasl/relayed-identity.ts';
import { isCompleted, type Reply } from '../smtp/reply.ts';
import type { Answer, Upstream } from '../smtp-out/client.ts';

/**
 * A login in which the password does not travel, passed on between client and upstream as it is (RFC 4954 §4).
 *
 * What holds: both sides say Base64 and nothing else, so that neither can put a command or a reply in its place. What never happens: a
 * login is accepted without the upstream's 235, or without its being known whose it is.
 */
export type RelayedOutcome =
  | { kind: 'accepted'; reply: Reply; identity: RelayedIdentity }
  | { kind: 'rejected'; reply: Reply }
  /** What the client says must not go on; the exchange has been broken off. */
  | { kind: 'refused'; refusal: SaslRefusal }
  /** null: the client has broken it off, or has said what is no Base64. */
  | { kind: 'challenge'; reply: Reply; answer: (octets: Buffer | null) => Promise<RelayedOutcome> }
  | { kind: 'lost'; reason: string };

/** Challenges of one exchange; SCRAM has two. */
const CHALLENGES = 4;

/** Octets of the command with an initial response (RFC 4954 §4). */
const COMMAND_OCTETS = 512;

/** @param first the client's first message, where it speaks first */
export async function relayLogin(
  upstream: Upstream,
  mechanism: RelayedMechanism,
  first: Buffer | null,
): Promise<RelayedOutcome> {
  const login = new RelayedLogin(mechanism);
  let challenges = 0;
  if (first === null || !clientSpeaksFirst(mechanism)) {
    return next(await upstream.command(`AUTH ${mechanism}`));
  }
  const refusal = login.hear(first);
  if (refusal !== null) return { kind: 'refused', refusal };
  const coded = first.toString('base64');
  const command = `AUTH ${mechanism} ${coded}`;
  if (command.length + 2 <= COMMAND_OCTETS) return next(await upstream.command(command));
  const ready = await upstream.command(`AUTH ${mechanism}`);
  if (ready.kind === 'lost' || ready.reply.code !== 334) return next(ready);
  return next(await upstream.command(coded));

  async function next(answer: Answer): Promise<RelayedOutcome> {
    if (answer.kind === 'lost') return answer;
    const { reply } = answer;
    if (reply.code === 334) {
      if (++challenges > CHALLENGES || !isChallenge(reply)) return cancelled(null);
      return { kind: 'challenge', reply, answer: answered };
    }
    if (reply.code === 235) {
      const { identity } = login;
      return identity === null ? nonsense(WITHOUT_IDENTITY) : { kind: 'accepted', reply, identity };
    }
    return isCompleted(reply) ? nonsense(NO_VERDICT) : { kind: 'rejected', reply };
  }

  async function answered(octets: Buffer | null): Promise<RelayedOutcome> {
    if (octets === null) return cancelled(null);
    const refused = login.hear(octets);
    if (refused !== null) return cancelled(refused);
    return next(await upstream.command(octets.toString('base64')));
  }

  /** "*": the next line is a command again (RFC 4954 §4). */
  async function cancelled(refused: SaslRefusal | null): Promise<RelayedOutcome> {
    const answer = await upstream.command('*');
    if (answer.kind === 'lost') return answer;
    if (answer.reply.code < 400) return nonsense(NO_VERDICT);
    return refused === null
      ? { kind: 'rejected', reply: answer.reply }
      : { kind: 'refused', refusal: refused };
  }

  function nonsense(reason: string): RelayedOutcome {
    upstream.abandon();
    return { kind: 'lost', reason };
  }
}

const NO_VERDICT = 'it answered AUTH with a code that is not a verdict';
/** A server that lets somebody in before it has been told whom has let in nobody that has keys here. */
const WITHOUT_IDENTITY = 'it accepted a login before it was told whose';

function isChallenge({ lines }: Reply): boolean {
  const [line = ''] = lines;
  return lines.length === 1 && decodeBase64(Buffer.from(line, 'utf8')) !== null;
}

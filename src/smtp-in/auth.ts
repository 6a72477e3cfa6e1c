import { unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import { decodeBase64 } from '../sasl/base64.ts';
import {
  type Credentials,
  readLogin,
  readMessage,
  type SaslRefusal,
  whatWasSaid,
} from '../sasl/credentials.ts';
import { asMechanism, mechanismsToOffer, relayedToOffer } from '../sasl/mechanism.ts';
import { Principal } from '../sasl/principal.ts';
import { clientSpeaksFirst, type RelayedIdentity, type RelayedMechanism } from '../sasl/relayed-identity.ts';
import { type Reply, reply, replyClass } from '../smtp/reply.ts';
import { type AuthOutcome, authenticate } from '../smtp-out/auth.ts';
import type { Conversation, Step } from './conversation.ts';
import { mayAuthenticate } from './ehlo.ts';
import { logRefusal } from './relay.ts';
import { type RelayedOutcome, relayLogin } from './relayed-auth.ts';
import { replyFromError, upstreamLost } from './reply-from-error.ts';

/**
 * AUTH (RFC 4954 §4): the client's credentials are collected, passed on, and forgotten; the verdict is the upstream's.
 *
 * What never happens: a principal without a 235 from the upstream for exactly that login.
 */
export function auth(
  conversation: Conversation,
  command: { mechanism: string; initialResponse: Buffer | null },
): Step | Promise<Step> {
  if (conversation.greeted !== 'ehlo') return refusal(503, '5.5.1', 'Send EHLO first');
  if (conversation.origin !== null) return refusal(503, '5.5.1', 'The session is already authenticated');
  if (!mayAuthenticate(conversation)) {
    return refusal(538, '5.7.11', 'Encryption is required for AUTH; use STARTTLS');
  }
  const theirs = conversation.upstream?.extensions.get('AUTH') ?? [];
  const permitted = relayedToOffer(theirs, conversation.ports.settings.relayMechanisms ?? []);
  const relayed = permitted.find((each) => each === command.mechanism.toUpperCase());
  if (relayed !== undefined) return relay(conversation, relayed, command.initialResponse);
  const mechanism = asMechanism(command.mechanism);
  const offered = mechanismsToOffer(theirs);
  if (mechanism === null || !offered.includes(mechanism)) {
    return refusal(504, '5.5.4', 'The mechanism is not offered');
  }
  const { initialResponse } = command;
  if (mechanism === 'LOGIN') {
    const password = (user: Buffer) =>
      ask(conversation, 'UGFzc3dvcmQ6', (secret) =>
        verify(conversation, readLogin(user, secret), user, secret),
      );
    return initialResponse === null
      ? ask(conversation, 'VXNlcm5hbWU6', password)
      : withDecoded(conversation, initialResponse, password);
  }
  const message = (octets: Buffer) => verify(conversation, readMessage(mechanism, octets), octets);
  return initialResponse === null
    ? ask(conversation, '', message)
    : withDecoded(conversation, initialResponse, message);
}

type Next = (octets: Buffer) => Step | Promise<Step>;

function ask(conversation: Conversation, challenge: string, next: Next): Step {
  return {
    kind: 'ask',
    reply: reply(334, null, challenge),
    answer: (line) => {
      // RFC 4954 §4: a line too long is 500 5.5.6; "*" cancels.
      if (line === null)
        return failed(conversation, reply(500, '5.5.6', 'The authentication line is too long'));
      if (line.length === 1 && line[0] === 42)
        return refusal(501, '5.7.0', 'The authentication was cancelled');
      return withDecoded(conversation, line, next);
    },
  };
}

/** Decodes a Base64 line and wipes it. `=` stands for nothing in an initial response. */
function withDecoded(conversation: Conversation, line: Buffer, next: Next): Step | Promise<Step> {
  const decoded = line.length === 1 && line[0] === 61 ? Buffer.alloc(0) : decodeBase64(line);
  line.fill(0);
  if (decoded === null) return failed(conversation, reply(501, '5.5.2', 'The response is not valid Base64'));
  return next(decoded);
}

/** A login in which the password does not travel. */
function relay(
  conversation: Conversation,
  mechanism: RelayedMechanism,
  initialResponse: Buffer | null,
): Step | Promise<Step> {
  const begin = async (first: Buffer | null): Promise<Step> => {
    const { upstream, gone } = conversation;
    const may = await conversation.ports.guard.mayLogIn(null, gone);
    if (gone.aborted) return GONE;
    if (!may) return failed(conversation, TOO_MANY_FAILED);
    if (upstream === null) return { kind: 'end', reply: replyFromError(upstreamLost('there is none')) };
    return heard(conversation, mechanism, await relayLogin(upstream, mechanism, first));
  };
  if (clientSpeaksFirst(mechanism)) {
    return initialResponse === null
      ? ask(conversation, '', begin)
      : withDecoded(conversation, initialResponse, begin);
  }
  // RFC 4954 §4: where the server speaks first there is nothing to respond to yet.
  if (initialResponse !== null) return refusal(501, '5.7.0', 'The mechanism has no initial response');
  return begin(null);
}

function heard(conversation: Conversation, mechanism: RelayedMechanism, outcome: RelayedOutcome): Step {
  switch (outcome.kind) {
    case 'accepted':
      return judged(conversation, outcome.identity, outcome);
    case 'refused':
      return failed(conversation, reply(535, '5.7.8', outcome.refusal.why));
    case 'challenge':
      return {
        kind: 'ask',
        reply: outcome.reply,
        answer: async (line) => {
          const octets = line === null ? null : decodeBase64(line);
          return heard(conversation, mechanism, await outcome.answer(octets));
        },
      };
    case 'rejected':
      if (replyClass(outcome.reply) === 'permanent') conversation.ports.guard.loginFailed(null);
      return failed(conversation, outcome.reply);
    case 'lost':
      return lost(conversation, null, outcome.reason);
    default:
      return unreachable(outcome);
  }
}

/** Nobody hears it: the client did not wait, and the mail server is not asked in its name. */
const GONE: Step = { kind: 'end', reply: replyFromError(upstreamLost('the session is over')) };
const TOO_MANY_FAILED = reply(454, '4.7.0', 'Too many failed logins from your address; try again later');

async function verify(
  conversation: Conversation,
  credentials: Credentials | SaslRefusal,
  ...wipe: readonly Buffer[]
): Promise<Step> {
  for (const octets of wipe) octets.fill(0);
  if (credentials.kind === 'refused') return failed(conversation, reply(535, '5.7.8', credentials.why));
  const { upstream, gone } = conversation;
  const may = await conversation.ports.guard.mayLogIn(whatWasSaid(credentials), gone);
  if (gone.aborted) return GONE;
  if (!may) return failed(conversation, TOO_MANY_FAILED);
  if (upstream === null) return { kind: 'end', reply: replyFromError(upstreamLost('there is none')) };
  return judged(conversation, credentials, await authenticate(upstream, credentials));
}

function judged(
  conversation: Conversation,
  credentials: Credentials | RelayedIdentity,
  outcome: AuthOutcome,
): Step {
  const { log, settings } = conversation.ports;
  switch (outcome.kind) {
    case 'accepted': {
      const principal = Principal.proven(credentials);
      conversation.ports.guard.loginAccepted(whatWasSaid(credentials));
      conversation.origin = {
        session: conversation.id,
        listener: settings.listener,
        principal,
        remote: conversation.remote,
      };
      log.write({
        event: 'smtp.authenticated',
        level: 'info',
        session: conversation.id,
        principal: principal.login,
        mechanism: credentials.mechanism,
      });
      return { kind: 'reply', reply: outcome.reply };
    }
    case 'rejected':
      // RFC 4954 §6: 454 says nothing of the credentials.
      if (replyClass(outcome.reply) === 'permanent')
        conversation.ports.guard.loginFailed(whatWasSaid(credentials));
      return failed(conversation, outcome.reply);
    case 'challenge':
      return {
        kind: 'ask',
        reply: outcome.reply,
        answer: async (line) => {
          const text = line?.toString('latin1');
          const plain = text === '' || text === 'AQ==' ? text : '*';
          return judged(conversation, credentials, await outcome.answer(plain));
        },
      };
    case 'lost':
      return lost(conversation, whatWasSaid(credentials), outcome.reason);
    default:
      return unreachable(outcome);
  }
}

function lost(
  { upstream, ports, id: session, gone }: Conversation,
  said: string | null,
  reason: string,
): Step {
  if (gone.aborted) {
    ports.guard.loginFailed(said);
    return GONE;
  }
  // What ends by itself is told where it ends; a mail server whose answers make no sense is let go, and nobody else says why.
  if (upstream !== null && upstream.lost !== reason) {
    const { name } = upstream;
    ports.log.write({ event: 'smtp.upstream-lost', level: 'warn', session, upstream: name, reason });
  }
  return { kind: 'end', reply: replyFromError(upstreamLost(reason)) };
}

function refusal(code: number, enhanced: string, text: string): Step {
  return { kind: 'reply', reply: reply(code, enhanced, text) };
}

/** A failed login: counted, because the upstream sees all its guesses come from one address. */
function failed(conversation: Conversation, verdict: Reply): Step {
  logRefusal(conversation, verdict, null);
  conversation.authFailures++;
  const kind = conversation.authFailures >= limits.smtp.authFailuresPerSession ? 'end' : 'reply';
  return { kind, reply: verdict };
}

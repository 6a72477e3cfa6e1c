import { SealgateError } from '../errors.ts';
import { offeredExtensions } from '../smtp/extensions.ts';
import { reply } from '../smtp/reply.ts';
import { takeAssumedLogin } from './assumed-login.ts';
import type { Conversation, Step } from './conversation.ts';
import { replyFromError } from './reply-from-error.ts';

/**
 * Whether a password may be sent on this connection as it is (RFC 4954 §4). A listener with STARTTLS waits for the handshake;
 * one without TLS serves its own machine only. `allowPlainAuth` lifts both.
 */
export function mayAuthenticate(conversation: Conversation): boolean {
  const { settings } = conversation.ports;
  if (conversation.secure || settings.allowPlainAuth) return true;
  return settings.tls === 'none' && settings.fromHere;
}

/**
 * EHLO (RFC 5321 §4.1.1.1). It ends a transaction as RSET does. The upstream is called here and not before, so that port scans and
 * clients without TLS do not reach it: only its own reply says what can be offered.
 */
export async function ehlo(conversation: Conversation): Promise<Step> {
  const { settings } = conversation.ports;
  conversation.transaction = null;
  const authentication = mayAuthenticate(conversation);
  const failure = authentication ? await callUpstream(conversation) : null;
  if (failure !== null) return failure;
  if (authentication) takeAssumedLogin(conversation);
  conversation.greeted = 'ehlo';
  const lines = offeredExtensions({
    upstream: conversation.upstream?.extensions ?? null,
    maxMessageOctets: settings.maxMessageOctets,
    startTls: settings.tls === 'starttls' && !conversation.secure,
    authentication: authentication && conversation.origin === null,
  });
  return { kind: 'reply', reply: { code: 250, lines: [settings.hostname, ...lines] } };
}

/** HELO (RFC 5321 §4.1.1.1): greeted, but without AUTH no mail can follow, unless the listener assumes a login. */
export async function helo(conversation: Conversation): Promise<Step> {
  const { settings } = conversation.ports;
  conversation.transaction = null;
  if (settings.assumeLogin !== null && mayAuthenticate(conversation)) {
    const failure = await callUpstream(conversation);
    if (failure !== null) return failure;
    takeAssumedLogin(conversation);
  }
  conversation.greeted = 'helo';
  return { kind: 'reply', reply: reply(250, null, settings.hostname) };
}

/** The session's upstream connection; null: it is there. */
async function callUpstream(conversation: Conversation): Promise<Step | null> {
  if (conversation.upstream !== null) return null;
  try {
    conversation.upstream = await conversation.ports.openUpstream();
    return null;
  } catch (error) {
    const reason = error instanceof SealgateError ? (error.reason ?? error.code) : String(error);
    conversation.ports.log.write({
      event: 'smtp.upstream-lost',
      level: 'warn',
      session: conversation.id,
      upstream: '',
      reason,
    });
    return { kind: 'end', reply: replyFromError(error) };
  }
}

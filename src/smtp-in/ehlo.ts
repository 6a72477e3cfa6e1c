import { SealgateError } from '../errors.ts';
import { attributesOffered } from '../smtp/client-attributes.ts';
import { offeredExtensions } from '../smtp/extensions.ts';
import { reply } from '../smtp/reply.ts';
import { takeAssumedLogin } from './assumed-login.ts';
import type { Conversation, Step } from './conversation.ts';
import { speaksLmtp } from './lmtp.ts';
import { replyFromError } from './reply-from-error.ts';
import { extensionsFor } from './upstream-extensions.ts';

/**
 * Whether a password may be sent on this connection as it is (RFC 4954 §4). A listener with STARTTLS waits for the handshake;
 * one without TLS serves its own machine only. `allowPlainAuth` lifts both.
 */
export function mayAuthenticate(conversation: Conversation): boolean {
  const { settings, admission } = conversation.ports;
  if (admission !== undefined) return false;
  if (conversation.secure || settings.allowPlainAuth) return true;
  return settings.tls === 'none' && settings.fromHere;
}

/**
 * EHLO (RFC 5321 §4.1.1.1). It ends a transaction as RSET does. The upstream is called here and not before, so that port scans and
 * clients without TLS do not reach it: only its own reply says what can be offered.
 */
export async function ehlo(conversation: Conversation, domain: string): Promise<Step> {
  return speaksLmtp(conversation) ? SEND_LHLO : greeted(conversation, domain);
}

/** LHLO is LMTP's EHLO, with the same meaning (RFC 2033 §4.1). */
export async function lhlo(conversation: Conversation, domain: string): Promise<Step> {
  if (speaksLmtp(conversation)) return greeted(conversation, domain);
  return { kind: 'reply', reply: reply(500, '5.5.1', 'The command is not known') };
}

/** RFC 2033 §4.1: no HELO and no EHLO. */
const SEND_LHLO: Step = { kind: 'reply', reply: reply(500, '5.5.1', 'This is LMTP: send LHLO') };

/** AUTH on a listener that lets nobody log in. */
export function noAuth(): Step {
  return { kind: 'reply', reply: reply(502, '5.5.1', 'AUTH is not offered here') };
}

async function greeted(conversation: Conversation, domain: string): Promise<Step> {
  const { settings, admission } = conversation.ports;
  conversation.transaction = null;
  const authentication = mayAuthenticate(conversation);
  const failure = authentication || admission !== undefined ? await callUpstream(conversation) : null;
  if (failure !== null) return failure;
  if (authentication) takeAssumedLogin(conversation);
  conversation.greeted = 'ehlo';
  conversation.helo = domain;
  const lines = offeredExtensions({
    upstream: extensionsFor(conversation),
    maxMessageOctets: settings.maxMessageOctets,
    startTls: settings.tls === 'starttls' && !conversation.secure,
    authentication: authentication && conversation.origin === null,
    relayMechanisms: settings.relayMechanisms ?? [],
  });
  if (admission?.trustsPeer === true) lines.push(attributesOffered('XCLIENT'), attributesOffered('XFORWARD'));
  return { kind: 'reply', reply: { code: 250, lines: [settings.hostname, ...lines] } };
}

/** HELO (RFC 5321 §4.1.1.1): greeted, but without AUTH no mail can follow, unless the listener takes mail without a login. */
export async function helo(conversation: Conversation, domain: string): Promise<Step> {
  if (speaksLmtp(conversation)) return SEND_LHLO;
  const { settings, admission } = conversation.ports;
  conversation.transaction = null;
  if (admission !== undefined || (settings.assumeLogin !== null && mayAuthenticate(conversation))) {
    const failure = await callUpstream(conversation);
    if (failure !== null) return failure;
    takeAssumedLogin(conversation);
  }
  conversation.greeted = 'helo';
  conversation.helo = domain;
  return { kind: 'reply', reply: reply(250, null, settings.hostname) };
}

/** The session's upstream connection; null: it is there. */
async function callUpstream(conversation: Conversation): Promise<Step | null> {
  if (conversation.upstream !== null) return null;
  try {
    conversation.upstream = await conversation.ports.openUpstream(conversation.gone);
    return null;
  } catch (error) {
    if (conversation.gone.aborted) return { kind: 'end', reply: replyFromError(error) };
    const reason = error instanceof SealgateError ? (error.reason ?? error.code) : String(error);
    conversation.ports.log.write({
      event: 'smtp.upstream-lost',
      level: 'warn',
      session: conversation.id,
      upstream: conversation.ports.settings.upstream,
      reason,
    });
    return { kind: 'end', reply: replyFromError(error) };
  }
}

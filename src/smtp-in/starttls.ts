import { reply } from '../smtp/reply.ts';
import type { Conversation, Step } from './conversation.ts';
import { forgetForwarded } from './trusted-proxy.ts';

/** STARTTLS (RFC 3207 §4). What the client has sent behind it is dropped by the session. */
export function startTls(conversation: Conversation): Step {
  if (conversation.ports.settings.tls !== 'starttls') {
    return { kind: 'reply', reply: reply(502, '5.5.1', 'STARTTLS is not offered here') };
  }
  if (conversation.secure) return { kind: 'reply', reply: reply(503, '5.5.1', 'TLS is already active') };
  if (conversation.greeted !== 'ehlo')
    return { kind: 'reply', reply: reply(503, '5.5.1', 'Send EHLO first') };
  if (conversation.origin !== null) {
    return { kind: 'reply', reply: reply(503, '5.5.1', 'STARTTLS must come before AUTH') };
  }
  return { kind: 'start-tls', reply: reply(220, '2.0.0', 'Ready to start TLS') };
}

/** RFC 3207 §4.2: after the handshake everything is as at the beginning. */
export function forgetBeforeTls(conversation: Conversation): void {
  conversation.secure = true;
  conversation.greeted = 'no';
  conversation.transaction = null;
  conversation.authFailures = 0;
  forgetForwarded(conversation);
}

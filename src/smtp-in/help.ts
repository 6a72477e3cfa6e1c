import { reply } from '../smtp/reply.ts';
import type { Step } from './conversation.ts';

/** HELP (RFC 5321 §4.1.1.8). */
export function help(): Step {
  return {
    kind: 'reply',
    reply: reply(214, '2.0.0', 'EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT'),
  };
}

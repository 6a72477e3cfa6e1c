import { reply } from '../smtp/reply.ts';
import type { Step } from './conversation.ts';

/** VRFY (RFC 5321 §3.5.3 and §7.3): who exists is nobody's business. */
export function vrfy(): Step {
  return {
    kind: 'reply',
    reply: reply(252, '2.1.5', 'Addresses are not verified; send the mail to find out'),
  };
}

/** EXPN (RFC 5321 §7.3). */
export function expn(): Step {
  return { kind: 'reply', reply: reply(502, '5.5.1', 'EXPN is not supported') };
}

import { reply } from '../smtp/reply.ts';
import type { Step } from './conversation.ts';

/** QUIT (RFC 5321 §4.1.1.10). */
export function quit(): Step {
  return { kind: 'end', reply: reply(221, '2.0.0', 'Goodbye') };
}

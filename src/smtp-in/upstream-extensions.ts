import type { Extensions } from '../smtp/extensions.ts';
import type { Conversation } from './conversation.ts';

/**
 * What the upstream offers for mail of this client. REQUIRETLS counts only where both connections have TLS (RFC 8689 §2): it could not be
 * kept otherwise. null: there is no upstream yet.
 */
export function extensionsFor({
  upstream,
  secure,
}: Pick<Conversation, 'upstream' | 'secure'>): Extensions | null {
  if (upstream === null) return null;
  if (!upstream.extensions.has('REQUIRETLS') || (secure && upstream.secure)) return upstream.extensions;
  return new Map([...upstream.extensions].filter(([keyword]) => keyword !== 'REQUIRETLS'));
}

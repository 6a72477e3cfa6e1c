import type { OutboundDecision } from '../policy/decide-outbound.ts';
import type { Envelope } from '../smtp/envelope.ts';
import { hasParameter } from '../smtp/parameters.ts';

/**
 * The decision with what the client has asked for itself (REQUIRETLS, RFC 8689 §3): every message that leaves by it leaves by TLS only, also
 * what waits, and then only where that is promised onward. A rule may ask for more than the client, never for less.
 */
export function asClientAsksForTls(decision: OutboundDecision, envelope: Envelope): OutboundDecision {
  if (!hasParameter(envelope.mailParameters, 'REQUIRETLS')) return decision;
  switch (decision.kind) {
    case 'refuse':
      return decision;
    case 'forward-unchanged':
      return { ...decision, requireTls: true };
    case 'deliver':
      return {
        ...decision,
        variants: decision.variants.map((variant) => ({ ...variant, requireTls: true })),
        held: decision.held.map((held) => ({ ...held, terms: { ...held.terms, requireTls: 'onward' } })),
      };
  }
}

import { RELAYED_MECHANISMS, type RelayedMechanism } from './relayed-identity.ts';

/** The SASL mechanisms (RFC 4422) that are handed through; what they mean is between client and upstream. */
export type Mechanism = 'PLAIN' | 'LOGIN' | 'XOAUTH2' | 'OAUTHBEARER';

const MECHANISMS: readonly Mechanism[] = ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'];

export function asMechanism(name: string): Mechanism | null {
  const upper = name.toUpperCase();
  return MECHANISMS.find((mechanism) => mechanism === upper) ?? null;
}

/** How to say to the upstream what the client said: the same mechanism, or PLAIN for LOGIN and the reverse. */
export function upstreamMechanism(client: Mechanism, upstream: readonly string[]): Mechanism | null {
  const offered = new Set(upstream.map((name) => name.toUpperCase()));
  if (offered.has(client)) return client;
  if (client === 'PLAIN' && offered.has('LOGIN')) return 'LOGIN';
  if (client === 'LOGIN' && offered.has('PLAIN')) return 'PLAIN';
  return null;
}

/** Ours ∩ the upstream's, conversions counted in. */
export function mechanismsToOffer(upstream: readonly string[]): readonly Mechanism[] {
  return MECHANISMS.filter((mechanism) => upstreamMechanism(mechanism, upstream) !== null);
}

/** Those that are relayed, of which the upstream has them and an administrator permits them. */
export function relayedToOffer(
  upstream: readonly string[],
  permitted: readonly RelayedMechanism[],
): readonly RelayedMechanism[] {
  const offered = new Set(upstream.map((name) => name.toUpperCase()));
  return RELAYED_MECHANISMS.filter((mechanism) => offered.has(mechanism) && permitted.includes(mechanism));
}

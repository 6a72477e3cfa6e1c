import { mechanismsToOffer, relayedToOffer } from '../sasl/mechanism.ts';
import type { RelayedMechanism } from '../sasl/relayed-identity.ts';
import type { Reply } from './reply.ts';
import { limitsOffered } from './transaction-limits.ts';

/** EHLO keywords (upper case) with their parameters. RFC 5321 §4.1.1.1. */
export type Extensions = ReadonlyMap<string, readonly string[]>;

const KEYWORD = /^[A-Z0-9][A-Z0-9-]*$/;

/**
 * What a server offers: the first line of its 250 is its name, each further line `ehlo-keyword *( SP ehlo-param )`.
 * Lines that are no keyword (`AUTH=LOGIN` of old servers) are passed over.
 */
export function readExtensions(ehlo: Reply): Extensions {
  const extensions = new Map<string, readonly string[]>();
  for (const line of ehlo.lines.slice(1)) {
    const [keyword, ...parameters] = line.trim().split(/ +/);
    const name = (keyword ?? '').toUpperCase();
    if (KEYWORD.test(name)) extensions.set(name, parameters);
  }
  return extensions;
}

/**
 * How a message grows when it is signed and encrypted. Base64 in lines of 76 makes 78 octets of 57, a factor of 1.37; signature,
 * certificates and recipient infos come on top, a few kilobytes each. Content that is not 7-bit yet grows once more before
 * it is signed; then the upstream's own 552 is the answer.
 */
export const growth = { factor: 1.4, octets: 65_536 } as const;

/**
 * Largest message from a client that still fits an upstream of `upstreamOctets` when it is protected. At least 1: a SIZE of 0
 * would say that there is no limit (RFC 1870 §4).
 */
export function sizeBeforeGrowth(upstreamOctets: number): number {
  return Math.max(1, Math.floor((upstreamOctets - growth.octets) / growth.factor));
}

/** The size to declare upstream (RFC 1870 §5) for a message of `octets` that may become protected. */
export function sizeAfterGrowth(octets: number): number {
  return Math.ceil(octets * growth.factor) + growth.octets;
}

/** The upstream's fixed maximum in octets, or null where it states none (RFC 1870 §4: absent or 0). */
export function maxSizeOf(upstream: Extensions): number | null {
  const stated = upstream.get('SIZE')?.[0] ?? '';
  if (!/^[0-9]{1,15}$/.test(stated)) return null;
  const octets = Number(stated);
  return octets === 0 ? null : octets;
}

/** Octets we take in one message: ours, and what the upstream will still take after it has grown. */
export function maxMessageOctets(upstream: Extensions, ours: number): number {
  const theirs = maxSizeOf(upstream);
  return theirs === null ? ours : Math.min(ours, sizeBeforeGrowth(theirs));
}

// End-to-end in effect: only what the upstream has can be promised, because its replies are ours.
const CARRIED = ['8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES', 'REQUIRETLS'] as const;

export type Offer = {
  /** As far as it counts for this client. Null as long as there is no upstream (before STARTTLS): then nothing that needs it is offered. */
  upstream: Extensions | null;
  maxMessageOctets: number;
  startTls: boolean;
  /** Whether AUTH may be used on this connection as it is. */
  authentication: boolean;
  /** Logins in which the password does not travel that are permitted. */
  relayMechanisms: readonly RelayedMechanism[];
};

/**
 * The keyword lines of our EHLO reply: the upstream's ∩ what we can carry. Everything not named here is not offered:
 * BINARYMIME, BURL, XCLIENT, FUTURERELEASE and whatever comes. PIPELINING, CHUNKING and HELP are ours alone: towards the upstream
 * a message always leaves by DATA.
 */
export function offeredExtensions(offer: Offer): string[] {
  const lines = ['PIPELINING'];
  const { upstream } = offer;
  if (upstream !== null) {
    lines.push('CHUNKING');
    if (upstream.has('SIZE')) lines.push(`SIZE ${maxMessageOctets(upstream, offer.maxMessageOctets)}`);
    for (const keyword of CARRIED) if (upstream.has(keyword)) lines.push(keyword);
    lines.push(limitsOffered(upstream));
    const theirs = offer.authentication ? (upstream.get('AUTH') ?? []) : [];
    const mechanisms = [...relayedToOffer(theirs, offer.relayMechanisms), ...mechanismsToOffer(theirs)];
    if (mechanisms.length > 0) lines.push(`AUTH ${mechanisms.join(' ')}`);
  }
  if (offer.startTls) lines.push('STARTTLS');
  lines.push('HELP');
  return lines;
}

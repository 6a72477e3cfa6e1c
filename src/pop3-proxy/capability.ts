import { type Mechanism, mechanismsToOffer } from '../sasl/mechanism.ts';
import type { RelayedMechanism } from '../sasl/relayed-identity.ts';

/** What a mail server said to CAPA (RFC 2449 §5). */
export type UpstreamCapabilities = {
  /** false: it does not know the command. */
  told: boolean;
  /** Parameters by name; both in upper case. */
  list: ReadonlyMap<string, readonly string[]>;
};

export const NOT_TOLD: UpstreamCapabilities = { told: false, list: new Map() };

/** Reads the lines of a CAPA reply; what is no capability is left out. */
export function readCapabilities(lines: readonly string[]): UpstreamCapabilities {
  const list = new Map<string, readonly string[]>();
  for (const line of lines) {
    const [name = '', ...parameters] = line.toUpperCase().split(' ');
    // RFC 2449 §3: capability names and parameters are printable.
    if (/^[!-,/-~][!-~]*$/.test(name) && !list.has(name)) {
      list.set(
        name,
        parameters.filter((parameter) => /^[!-~]+$/.test(parameter)),
      );
    }
  }
  return { told: true, list };
}

/**
 * Passwords go upstream as PLAIN, as LOGIN or as USER and PASS: one of them is enough to offer all three. A server that does
 * not tell its capabilities has USER (RFC 1939 knew nothing else that we speak). Those that are relayed are those that the server has
 * and an administrator permits.
 */
export function offeredMechanisms(
  { told, list }: UpstreamCapabilities,
  relayed: readonly RelayedMechanism[] = [],
): readonly (Mechanism | RelayedMechanism)[] {
  const sasl = list.get('SASL') ?? [];
  return [
    ...mechanismsToOffer(!told || list.has('USER') ? [...sasl, 'PLAIN'] : sasl),
    ...relayed.filter((mechanism) => sasl.includes(mechanism)),
  ];
}

export type Offer = {
  /** Whether STLS is offered on this connection, now. */
  startTls: boolean;
  /** Whether a password may be sent on this connection as it is. */
  loginAllowed: boolean;
  /** Mechanisms that may be relayed, see sasl/relayed-identity.ts. */
  relayMechanisms: readonly RelayedMechanism[];
};

/** Capabilities that are the server's own affair and lead a client to nothing that the gateway does not follow. */
const KEPT: readonly [name: string, parameters: RegExp][] = [
  ['TOP', /^$/],
  ['UIDL', /^$/],
  ['PIPELINING', /^$/],
  ['EXPIRE', /^(?:NEVER|\d{1,6})(?: USER)?$/],
  ['LOGIN-DELAY', /^\d{1,9}(?: USER)?$/],
  ['AUTH-RESP-CODE', /^$/],
];

/**
 * The answer to CAPA: an allow-list. What is not in it is not shown (UTF8 and LANG of RFC 6856, which change what a message looks
 * like; XTND; IMPLEMENTATION). RESP-CODES is the gateway's own: its answers have them.
 */
export function capabilitiesFor(upstream: UpstreamCapabilities, offer: Offer): string[] {
  const { startTls, loginAllowed, relayMechanisms } = offer;
  const mechanisms = loginAllowed ? offeredMechanisms(upstream, relayMechanisms) : [];
  // TOP and UIDL are as old as POP3: a server that tells nothing nearly always has them, and refuses them otherwise.
  const kept = upstream.told ? KEPT.filter(([name, parameters]) => isKept(upstream, name, parameters)) : [];
  const named = upstream.told
    ? kept.map(([name]) => [name, ...(upstream.list.get(name) ?? [])].join(' '))
    : ['TOP', 'UIDL'];
  return [
    ...named,
    'RESP-CODES',
    ...(mechanisms.includes('PLAIN') ? ['USER'] : []),
    ...(mechanisms.length === 0 ? [] : [`SASL ${mechanisms.join(' ')}`]),
    ...(startTls ? ['STLS'] : []),
  ];
}

function isKept({ list }: UpstreamCapabilities, name: string, parameters: RegExp): boolean {
  const found = list.get(name);
  return found !== undefined && parameters.test(found.join(' '));
}

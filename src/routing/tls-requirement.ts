import type { Association } from '../directory/smimea/association.ts';
import { isOneOf, type MxVia, type TlsLevel } from './routes.ts';
import { isNamedBy, type StsPolicy } from './sts-policy.ts';

/** How the connection to one mail server has to be protected, and why. Pure. */
export type TlsRequirement = { why: string } & (
  | { kind: 'opportunistic' }
  | { kind: 'encrypted' }
  /** A public authority vouches for `name`. */
  | { kind: 'verified'; name: string }
  /** One of the associations fits; those of usage 2 need one of the names beside it. */
  | { kind: 'dane'; associations: readonly Association[]; names: readonly string[] }
  /** Nothing may go there. */
  | { kind: 'unusable' }
);

/** What is known of a mail server. */
export type HostFacts = {
  name: string;
  /** What the aliases of the name lead to; the name itself where it has none. */
  canonical: string;
  /** DNSSEC vouches for its being a mail server of the domain. */
  isNamedAuthentically: boolean;
  /** TLSA records that DNSSEC vouches for, as those of the host and its addresses; null: there are none that count. */
  tlsa: { base: string; associations: readonly Association[] } | null;
};

export type DomainFacts = {
  domain: string;
  /** Enforced or being tested; null: it has none, or none that asks for anything. */
  sts: StsPolicy | null;
};

/** RFC 8689 §4.2.1: a mail that must leave by TLS needs a server that is known to be the right one, whatever the route says. */
export function levelFor(level: TlsLevel, mustBeProtected: boolean): TlsLevel {
  return mustBeProtected && (level === 'opportunistic' || level === 'encrypt') ? 'dane-or-verify' : level;
}

/** What a domain publishes is heeded whatever the route says, and a route never asks for less: DANE before MTA-STS (RFC 8461 §2). */
export function requirementFor(
  host: HostFacts,
  { domain, sts }: DomainFacts,
  { tls, hosts }: Pick<MxVia, 'tls' | 'hosts'>,
): TlsRequirement {
  const { name, tlsa } = host;
  // An operator who asks for public authorities has said that TLSA records are not enough.
  const usable = tls === 'verify' ? [] : usableFor(tlsa?.associations ?? []);
  if (tlsa !== null && usable.length > 0) {
    return {
      ...{ kind: 'dane', associations: usable, names: referenceNames(host, domain, tlsa.base) },
      why: `TLSA records of ${tlsa.base} (DANE)`,
    };
  }
  if (sts?.mode === 'enforce') {
    if (!isNamedBy(sts, name)) {
      return { kind: 'unusable', why: `the MTA-STS policy of ${domain} does not name ${name}` };
    }
    if (tls !== 'dane') return { kind: 'verified', name, why: `the MTA-STS policy of ${domain}` };
  }
  switch (tls) {
    case 'dane':
      return {
        kind: 'unusable',
        why: `the route asks for DANE, and ${name} has no TLSA records that can be used`,
      };
    case 'verify':
    case 'dane-or-verify': {
      const because = nameIsBelieved(host, { domain, sts }, hosts);
      if (because !== null) return { kind: 'verified', name, why: `verified TLS is asked for; ${because}` };
      return {
        kind: 'unusable',
        why: `verified TLS is asked for, and nobody vouches for ${name} being a mail server of ${domain} (DNSSEC, MTA-STS or hosts of the route)`,
      };
    }
    case 'encrypt':
      return { kind: 'encrypted', why: 'the route asks for TLS' };
    case 'opportunistic':
      // RFC 7672 §2.2: records that nobody can use still say that there is TLS.
      if (tlsa !== null)
        return { kind: 'encrypted', why: `TLSA records of ${tlsa.base}, none of them usable` };
      return { kind: 'opportunistic', why: 'nothing asks for more' };
  }
}

/** RFC 7672 §3.1.3: those of public authorities (0 and 1) are for nobody here. */
function usableFor(associations: readonly Association[]): readonly Association[] {
  return associations.filter(({ usage }) => usage === 'dane-ee' || usage === 'dane-ta');
}

/** RFC 7672 §3.2.2. */
function referenceNames({ name, canonical }: HostFacts, domain: string, base: string): readonly string[] {
  return [...new Set([base, name, canonical, domain])];
}

/** A certificate proves a name; that the name is a mail server of the domain, anybody on the way could have said. null: nothing proves that. */
function nameIsBelieved(
  { name, isNamedAuthentically }: HostFacts,
  { domain, sts }: DomainFacts,
  hosts: readonly string[],
): string | null {
  if (isOneOf(hosts, name)) return 'the route names the server';
  if (isNamedAuthentically) return 'DNSSEC names the server';
  if (sts !== null && isNamedBy(sts, name)) return `the MTA-STS policy of ${domain} names the server`;
  return name === domain || name.endsWith(`.${domain}`) ? 'the server is in the domain itself' : null;
}

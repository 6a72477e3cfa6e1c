import { domainToASCII } from 'node:url';
import type { Destination, Router } from '../queue/ports.ts';
import type { Mailbox, Recipient } from '../smtp/envelope.ts';

/** Where mail for a domain goes. Pure: nothing is asked. */

/** How well the connection to a mail server that DNS names has to be protected, where its domain asks for nothing itself. */
export type TlsLevel =
  /** TLS where the server offers it, whoever it is. */
  | 'opportunistic'
  /** TLS, whoever it is. */
  | 'encrypt'
  /** TLS with a certificate of a public authority for a name that can be believed. */
  | 'verify'
  /** TLS as the domain's TLSA records say. */
  | 'dane'
  /** The one or, where there are no TLSA records, the other. */
  | 'dane-or-verify';

export type MxVia = {
  kind: 'mx';
  tls: TlsLevel;
  /** Names that mail servers of these domains have, or `*.name`: believed whatever DNS says on the way. */
  hosts: readonly string[];
};

export type Route = {
  name: string;
  /** Domains with A-labels in lower case, `*.domain`, or `*`. */
  domains: readonly string[];
  /** At once: to the server, or to those of each domain. */
  connections: number;
  via: MxVia | { kind: 'server' };
};

/** Of the route that takes what no other does: the server of the section `queue`. */
export const DEFAULT_ROUTE = 'server';

const OF_ROUTE = 'route:';
const OF_DOMAIN = 'domain:';

/** The first route that names the domain has it, as with rules. */
export class Routes implements Router {
  readonly #routes: readonly Route[];

  /** @param routes in order; where the section `queue` has a server, `DEFAULT_ROUTE` is the last, for `*` */
  constructor(routes: readonly Route[]) {
    this.#routes = routes;
  }

  /** @param domain of `domainOf`. null: no route has it */
  routeOf(domain: string | null): Route | null {
    return this.#routes.find(({ domains }) => domains.some((pattern) => matches(pattern, domain))) ?? null;
  }

  /** Whether a route is for this domain, and not for everybody. @param domain of `domainOf` */
  names(domain: string | null): boolean {
    const named = this.routeOf(domain)?.domains ?? [];
    return named.some((pattern) => pattern !== '*' && matches(pattern, domain));
  }

  destinationOf({ mailbox }: Recipient): Destination {
    const domain = domainOf(mailbox);
    const route = this.routeOf(domain);
    if (route?.via.kind === 'server') {
      return route.name === DEFAULT_ROUTE ? DEFAULT_ROUTE : `${OF_ROUTE}${route.name}`;
    }
    return `${OF_DOMAIN}${domain ?? ''}`;
  }

  atOnce(destination: Destination): number {
    return this.routeOfDestination(destination)?.connections ?? 1;
  }

  /** null: there is no such route any more. */
  routeOfDestination(destination: Destination): Route | null {
    if (destination.startsWith(OF_DOMAIN)) {
      return this.routeOf(destination.slice(OF_DOMAIN.length) || null);
    }
    const name = destination.startsWith(OF_ROUTE) ? destination.slice(OF_ROUTE.length) : DEFAULT_ROUTE;
    return this.#routes.find((route) => route.name === name) ?? null;
  }
}

/** With A-labels in lower case; an address literal keeps its brackets. null: an address without a domain (RFC 5321 §4.1.1.3). */
export function domainOf({ domain }: Mailbox): string | null {
  if (domain === '') return null;
  // ASCII is not for the parser of URLs, which reads numbers as addresses.
  if (/^[\x00-\x7f]*$/.test(domain)) return domain.toLowerCase();
  const ascii = domainToASCII(domain);
  return ascii === '' || /^[\d.]+$/.test(ascii) ? domain.toLowerCase() : ascii;
}

/** Whether a name is one of a pattern: itself, `*.name` for what is below it, or `*`. */
function matches(pattern: string, domain: string | null): boolean {
  if (pattern === '*') return true;
  if (domain === null) return false;
  return pattern === domain || (pattern.startsWith('*.') && domain.endsWith(pattern.slice(1)));
}

/** Whether a mail server's name is one of these, as `matches` has it. */
export function isOneOf(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matches(pattern, name));
}

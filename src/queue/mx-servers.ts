import { isIP } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { MailServer, MailServerOptions } from '../connections/mail-server.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Clock } from '../pipeline/ports.ts';
import { daneProblem } from '../routing/dane.ts';
import type { HostBackoff } from '../routing/host-backoff.ts';
import { type MxRouting, noHost, type PlannedHost } from '../routing/mx-routing.ts';
import type { NoWay } from '../routing/no-way.ts';
import type { MxVia } from '../routing/routes.ts';
import type { ServersNow } from './smtp-courier.ts';

export type MxServersParts = {
  mx: MxRouting;
  /** Of mail servers. */
  port: number;
  /** For every connection, so that none has to be made anew: of public authorities, and of none. */
  tls: { verified: SecureContext; unverified: SecureContext };
  backoff: HostBackoff;
  clock: Clock;
  /** Ends every question. */
  signal: AbortSignal;
};

/**
 * The servers of a domain as they are called now, in order. Those that were away a moment ago are left out. Never rejects.
 *
 * Must never happen: a server is called with less protection than its requirement says.
 */
export async function mxServers(
  { domain, via, mustBeProtected }: { domain: string | null; via: MxVia; mustBeProtected: boolean },
  { mx, port, tls, backoff, clock, signal }: MxServersParts,
): Promise<ServersNow> {
  let plan: Awaited<ReturnType<MxRouting['plan']>>;
  try {
    plan = await mx.plan(domain, via, mustBeProtected, signal);
  } catch (error) {
    return refused({
      kind: 'later',
      status: '4.3.0',
      because: error instanceof SealgateError ? error.publicText : 'the gateway could not look for it',
    });
  }
  if (!('hosts' in plan)) return refused(plan);
  const none = noHost(plan);
  if (none !== null) return refused(none);
  const now = clock();
  const left: string[] = [];
  const hosts = plan.hosts.map((host): readonly MailServer[] => {
    if ('noWay' in host) {
      if (host.noWay.kind === 'later') left.push(host.noWay.because);
      return [];
    }
    if (host.requirement.kind === 'unusable') {
      left.push(host.requirement.why);
      return [];
    }
    const servers = host.addresses.map((address) => serverAt(host, { address, port, tls, clock }));
    return servers.filter((server) => {
      const because = backoff.awayBecause(backoffKey(server), now);
      if (because !== null) left.push(because);
      return because === null;
    });
  });
  const servers = shared(hosts, limits.routing.calls);
  if (servers.length < hosts.flat().length)
    left.push('it has more mail servers than are called in one attempt');
  const [because = null] = left;
  if (servers.length > 0) return { kind: 'servers', servers, left: because };
  return refused({
    ...{ kind: 'later', status: '4.4.1' },
    because: because ?? 'none of its mail servers can be reached',
  });
}

/** In their order, so many of them that each host has its share: the many addresses of one that is away must not hide the next. */
function shared(hosts: readonly (readonly MailServer[])[], most: number): readonly MailServer[] {
  const nth = Math.max(0, ...hosts.map(({ length }) => length));
  const rounds = Array.from({ length: nth }, (_, i) => hosts.flatMap((servers) => servers.slice(i, i + 1)));
  const chosen = new Set(rounds.flat().slice(0, most));
  return hosts.flat().filter((server) => chosen.has(server));
}

/** A failed check of who it is says nothing of a connection without one. */
export function backoffKey({ name, options }: MailServer): string {
  return `${options.verification?.kind ?? 'none'} ${name}`;
}

function refused({ kind, status, because }: NoWay): ServersNow {
  return { kind, status, because };
}

function serverAt(
  { name, requirement }: PlannedHost,
  { address, port, tls, clock }: { address: string; port: number } & Pick<MxServersParts, 'tls' | 'clock'>,
): MailServer {
  // Of an address literal, what is in the brackets.
  const serverName = name.startsWith('[') ? address : name;
  const called = isIP(address) === 6 ? `[${address}]` : address;
  const place = { host: address, port };
  const shown = serverName === address ? `${called}:${port}` : `${name} (${called}:${port})`;
  const server = (options: Omit<MailServerOptions, 'host' | 'port'>, context: SecureContext): MailServer => ({
    ...{ options: { ...place, ...options }, name: shown, context },
  });
  switch (requirement.kind) {
    case 'opportunistic':
      return server({ tls: 'if-offered', verification: { kind: 'none', serverName } }, tls.unverified);
    case 'encrypted':
      return server({ tls: 'starttls', verification: { kind: 'none', serverName } }, tls.unverified);
    case 'verified':
      return server({ tls: 'starttls', verification: { kind: 'ca', serverName } }, tls.verified);
    case 'dane': {
      // RFC 7672 §8.1: the name under which the records are is the one that is asked for.
      const [base = serverName] = requirement.names;
      const check = (chain: Parameters<typeof daneProblem>[0]) => daneProblem(chain, requirement, clock());
      return server(
        { tls: 'starttls', verification: { kind: 'dane', serverName: base, check } },
        tls.unverified,
      );
    }
    case 'unusable':
      throw new Error('a server that must not be used is called');
  }
}

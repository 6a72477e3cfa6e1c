import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Config } from '../config/load.ts';
import { AddressGuard } from '../connections/address-guard.ts';
import { type MailServer, prepareMailServer } from '../connections/mail-server.ts';
import { DnsResolver } from '../dns/resolver.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Clock } from '../pipeline/ports.ts';
import { RoutedCourier } from '../queue/routed-courier.ts';
import { askingInTurn } from '../routing/asking.ts';
import { HostBackoff } from '../routing/host-backoff.ts';
import { MxRouting } from '../routing/mx-routing.ts';
import { DEFAULT_ROUTE, type Route, Routes } from '../routing/routes.ts';
import { SqlPolicyStore } from '../routing/sql-policy-store.ts';
import { type PolicyStore, StsPolicies } from '../routing/sts-policies.ts';
import type { GatewayLogin } from '../smtp-out/gateway-login.ts';
import { openRoutingStore } from '../store/routing-migrations.ts';
import type { Opened } from './opening.ts';
import { gatewayLogin, outgoingServerOptions } from './outgoing-server.ts';
import { isOwnAddress } from './own-addresses.ts';

export type QueueSettings = NonNullable<Config['queue']>;
type Server = NonNullable<QueueSettings['server']>;

/** Where the queue takes mail. */
export type Routing = { routes: Routes; courier: RoutedCourier };

export type RoutingParts = { config: Config; clock: Clock; opened: Opened };

/** @throws SealgateError `upstream.ca-file`, `store.unusable` (permanent) */
export async function openRouting(settings: QueueSettings, parts: RoutingParts): Promise<Routing> {
  const { config, clock } = parts;
  const routes = routesOf(settings);
  const servers = new Map<string, ServerOfRoute>();
  for (const [name, server] of serversOf(settings)) servers.set(name, await serverOfRoute(server, clock));
  const asksDns = settings.routes.some(({ via }) => via.kind === 'mx');
  const courier = new RoutedCourier({
    ...{ routes, servers, hostname: config.hostname, clock },
    mx: asksDns
      ? {
          mx: await openMxRouting(settings, parts),
          ...{ port: settings.mx.port, backoff: new HostBackoff(), clock },
          tls: { verified: await authorities(settings.mx.ca), unverified: UNVERIFIED },
        }
      : null,
  });
  return { routes, courier };
}

/** In order; what none of them names goes to `queue.server`. */
export function routesOf({ routes, server }: QueueSettings): Routes {
  const listed = routes.map(
    ({ name, domains, connections, via }): Route => ({
      ...{ name, domains, connections },
      via: via.kind === 'mx' ? via : { kind: 'server' },
    }),
  );
  if (server === null) return new Routes(listed);
  const { connections } = server;
  return new Routes([
    ...listed,
    { name: DEFAULT_ROUTE, domains: ['*'], connections, via: { kind: 'server' } },
  ]);
}

/**
 * Mail servers as DNS names them.
 *
 * @param isKept policies are kept in the state folder; else they are forgotten at the end
 * @throws SealgateError `upstream.ca-file`, `store.unusable` (permanent)
 */
export async function openMxRouting(
  { mx }: QueueSettings,
  { config, clock, opened }: RoutingParts,
  isKept = true,
): Promise<MxRouting> {
  const store = isKept
    ? new SqlPolicyStore(opened.keep(await openRoutingStore(config.stateFolder)))
    : FORGETFUL;
  const resolver = new DnsResolver(mx.resolvers, limits.routing.questionMs);
  const ask = askingInTurn((question, signal) => resolver.ask(question, signal));
  const guard = new AddressGuard(mx.allowAddresses);
  return new MxRouting({
    ...{ ask, guard, port: mx.port, ownNames: [config.hostname], random: Math.random },
    isOwn: isOwnAddress({
      ...{ listeners: [...config.relay, ...config.submission], port: mx.port, named: mx.ownAddresses },
    }),
    policies: new StsPolicies({
      ...{ ask, guard, clock, store },
      tls: mx.ca === null ? null : await authorities(mx.ca),
    }),
  });
}

const FORGETFUL: PolicyStore = { load: async () => null, keep: async () => undefined };

/** For connections whose server is judged otherwise, or not at all. */
const UNVERIFIED: SecureContext = createSecureContext({ minVersion: 'TLSv1.2', ca: [] });

async function authorities(file: string | null): Promise<SecureContext> {
  if (file === null) return createSecureContext({ minVersion: 'TLSv1.2' });
  try {
    return createSecureContext({ minVersion: 'TLSv1.2', ca: await readFile(file) });
  } catch (cause) {
    throw new SealgateError({
      code: 'upstream.ca-file',
      publicText: `The file ${file} with the authorities for mail servers (queue.mx.ca) cannot be used; give a readable PEM file.`,
      duration: 'permanent',
      reason: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

type ServerSettings = Omit<Server, 'connections'>;

/** By the names of the routes that have one. */
export function serversOf({ routes, server }: QueueSettings): ReadonlyMap<string, ServerSettings> {
  const servers = new Map<string, ServerSettings>();
  for (const { name, via } of routes) if (via.kind === 'server') servers.set(name, via);
  if (server !== null) servers.set(DEFAULT_ROUTE, server);
  return servers;
}

export type ServerOfRoute = { server: MailServer; login: GatewayLogin | null };

/** @throws SealgateError `upstream.ca-file`, `upstream.client-certificate` (permanent) */
export async function serverOfRoute(
  { login, password, ...place }: ServerSettings,
  clock: Clock,
): Promise<ServerOfRoute> {
  const inShort = login === null || password === null ? null : { kind: 'password' as const, login, password };
  return {
    server: await prepareMailServer(outgoingServerOptions(place)),
    login: await gatewayLogin({ authentication: inShort ?? place.authentication }, clock),
  };
}

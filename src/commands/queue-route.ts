import { join } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { Opened } from '../gateway/opening.ts';
import { openMxRouting, routesOf } from '../gateway/routing.ts';
import { printable } from '../log/printable.ts';
import { noHost, type Plan } from '../routing/mx-routing.ts';
import { type NoWay, notNow } from '../routing/no-way.ts';
import { domainOf, type Route } from '../routing/routes.ts';
import type { TlsRequirement } from '../routing/tls-requirement.ts';
import type { Mailbox } from '../smtp/envelope.ts';
import { readPath } from '../smtp/path.ts';
import { ROUTING } from '../store/routing-migrations.ts';
import { isThere } from './is-there.ts';
import { jsonText } from './json-output.ts';
import { configPath, readConfig } from './read-config.ts';

type Options = { config?: string; json?: true; requireTls?: true };

/** `sealgate queue route`: where mail for an address would go now, and how the connection would be protected. Nothing is sent. */
export function addRouteCommand(queue: Command): void {
  queue
    .command('route')
    .argument('<address>', 'of a recipient')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--require-tls', 'for mail that a rule lets leave by TLS only')
    .option('--json', 'as JSON')
    .description('where mail for an address goes, which servers are tried, how they are secured, and why')
    .action((address: string, options: Options) => showRoute(address, options));
}

/** What is found out of one address. */
type Finding = {
  destination: string;
  route: Route | null;
  /** null: the route has a server of its own, or there is none. */
  plan: Plan | NoWay | null;
};

async function showRoute(address: string, options: Options): Promise<void> {
  const config = await readConfig(configPath(options.config));
  const finding = await found(mailboxIn(address), config, options.requireTls === true);
  process.stdout.write(
    options.json === true
      ? `${jsonText(asJson(address, finding, config))}\n`
      : `${page(address, finding, config).join('\n')}\n`,
  );
}

async function found(mailbox: Mailbox, config: Config, mustBeProtected: boolean): Promise<Finding> {
  const settings = config.queue;
  if (settings === null) {
    throw unusable('The configuration has no section queue: the gateway delivers nothing by itself.');
  }
  const routes = routesOf(settings);
  const domain = domainOf(mailbox);
  const route = routes.routeOf(domain);
  const destination = routes.destinationOf({ mailbox, parameters: [] });
  if (route?.via.kind !== 'mx') {
    const isPlain = mustBeProtected && route !== null && serverOf(route, settings)?.tls === 'none';
    return { destination, route, plan: isPlain ? CALLED_WITHOUT : null };
  }
  const opened = new Opened();
  try {
    // Where the gateway has none yet, none is made that would belong to whoever asks.
    const isKept = await isThere(join(config.stateFolder, ROUTING));
    const mx = await openMxRouting(settings, { config, clock: () => new Date(), opened }, isKept);
    const plan = await mx.plan(domain, route.via, mustBeProtected, new AbortController().signal);
    return { destination, route, plan };
  } finally {
    await opened.close();
  }
}

/** As the queue has it of mail that may leave by TLS only (smtp-transaction.ts). */
const CALLED_WITHOUT = notNow('4.7.0', 'it may leave by TLS only, and the mail server is called without');

function mailboxIn(address: string): Mailbox {
  const path = address.startsWith('<') ? address : `<${address}>`;
  const read = readPath(path, 0);
  if (read.kind === 'mailbox' && read.end === path.length) return read.mailbox;
  throw unusable(`${printable(address)} is no mail address: write one like bob@example.org.`);
}

function page(address: string, { destination, route, plan }: Finding, { queue }: Config): string[] {
  const head = `${printable(address)}: ${printable(destination)}`;
  if (route === null) {
    return [head, '  No route is for it: it waits until the configuration has one.'];
  }
  const server = serverOf(route, queue);
  if (server !== null) {
    const noWay = plan !== null && 'because' in plan ? noWayText(plan) : [];
    return [head, `  route ${route.name}: ${serverText(server)}`, ...noWay];
  }
  if (plan === null) return [head];
  const lines = [head, `  route ${route.name}: the mail servers that DNS names`];
  if ('because' in plan) return [...lines, ...noWayText(plan)];
  lines.push(`  ${printable(plan.sts.why)}`);
  for (const [i, host] of plan.hosts.entries()) {
    if ('noWay' in host) {
      lines.push(`  ${i + 1}. ${printable(host.name)}: not used`, `     ${printable(host.noWay.because)}`);
    } else {
      const { name, addresses, requirement } = host;
      lines.push(
        `  ${i + 1}. ${printable(name)} (${addresses.join(', ')}): ${PROTECTION[requirement.kind]}`,
        `     ${printable(requirement.why)}`,
      );
    }
  }
  const none = noHost(plan);
  return none === null ? lines : [...lines, ...noWayText(none)];
}

const PROTECTION: Readonly<Record<TlsRequirement['kind'], string>> = {
  opportunistic: 'TLS where it is offered, whoever it is',
  encrypted: 'TLS, whoever it is',
  verified: 'TLS, verified by certificate authorities',
  dane: 'TLS, verified by TLSA records',
  unusable: 'not used',
};

function noWayText({ kind, status, because }: NoWay): string[] {
  const what = kind === 'failed' ? 'It would come back' : 'It would wait';
  return [`  ${what} (${status}): ${printable(because)}`];
}

type Server = { host: string; port: number; tls: string };

/** null: the route asks DNS. */
function serverOf({ name, via }: Route, queue: Config['queue']): Server | null {
  if (via.kind === 'mx') return null;
  const own = queue?.routes.find((route) => route.name === name)?.via;
  return own?.kind === 'server' ? own : (queue?.server ?? null);
}

function serverText({ host, port, tls }: Server): string {
  return `${host}:${port}, tls: ${tls}`;
}

function asJson(address: string, { destination, route, plan }: Finding, { queue }: Config) {
  const common = { address, destination, route: route?.name ?? null };
  const server = route === null ? null : serverOf(route, queue);
  if (plan === null || server !== null) {
    const none = plan !== null && 'because' in plan ? { none: plan } : {};
    return { ...common, server: server === null ? null : serverText(server), ...none };
  }
  if ('because' in plan) return { ...common, none: plan };
  const { sts, hosts } = plan;
  return {
    ...common,
    sts: { mode: sts.policy?.mode ?? null, why: sts.why },
    hosts: hosts.map((host) =>
      'noWay' in host
        ? { name: host.name, addresses: [], protection: 'unusable', why: host.noWay.because }
        : {
            ...{ name: host.name, addresses: host.addresses },
            ...{ protection: host.requirement.kind, why: host.requirement.why },
          },
    ),
    none: noHost(plan),
  };
}

function unusable(publicText: string): SealgateError {
  return new SealgateError({ code: 'command.arguments', duration: 'permanent', publicText });
}

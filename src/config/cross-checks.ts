import { archiveChecks } from './archive-checks.ts';
import { clusterChecks } from './cluster-checks.ts';
import { holdingChecks } from './holding-checks.ts';
import { httpChecks } from './http-checks.ts';
import { listenerPlaces } from './listener-places.ts';
import { isLoopback } from './loopback.ts';
import { names } from './name-checks.ts';
import { principalChecks } from './principal-checks.ts';
import { publishingChecks } from './publishing-checks.ts';
import { queueChecks } from './queue-checks.ts';
import { relayChecks } from './relay-checks.ts';
import { ruleChecks } from './rule-checks.ts';
import type { Sections } from './schema.ts';
import { sourceChecks } from './source-checks.ts';

/** What is wrong between settings that are each well-formed. */
export type CrossProblem = {
  path: readonly PropertyKey[];
  severity: 'error' | 'warning';
  text: string;
};

/** Sections that did not parse are absent: what can be checked without them is. */
export function crossChecks(config: Partial<Sections>): CrossProblem[] {
  return [
    ...listenerPlaces(config),
    ...listenerChecks(config),
    ...httpChecks(config),
    ...names('keys', config.keys ?? []),
    ...principalChecks(config),
    ...trustChecks(config),
    ...directoryChecks(config),
    ...sourceChecks(config),
    ...queueChecks(config),
    ...clusterChecks(config),
    ...holdingChecks(config),
    ...archiveChecks(config),
    ...publishingChecks(config),
    ...relayChecks(config),
    ...ruleChecks(config),
  ];
}

/** What all kinds have. */
type Listener = Sections['imap'][number] | Sections['pop3'][number] | Sections['submission'][number];

function listenerChecks(config: Partial<Sections>): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const all: { path: (string | number)[]; listener: Listener }[] = [
    ...(config.submission ?? []).map((listener, i) => ({ path: ['submission', i], listener })),
    ...(config.imap ?? []).map((listener, i) => ({ path: ['imap', i], listener })),
    ...(config.pop3 ?? []).map((listener, i) => ({ path: ['pop3', i], listener })),
  ];
  const known = [config.submission, config.relay, config.imap, config.pop3].every(
    (section) => section !== undefined,
  );
  if (all.length + (config.relay ?? []).length === 0 && known) {
    problems.push({
      path: [],
      severity: 'error',
      text: 'there is no listener: name at least one under submission, relay, imap or pop3',
    });
  }
  for (const [i, { upstream }] of (config.relay ?? []).entries()) {
    problems.push(...upstreamChecks(['relay', i, 'upstream'], upstream));
  }
  for (const { path, listener } of all) {
    if (listener.tls === 'none' && !listener.allowPlaintext && !isLoopback(listener.host)) {
      problems.push({
        path: [...path, 'tls'],
        severity: 'error',
        text: 'without TLS passwords can be read on the way: choose starttls or implicit, listen on 127.0.0.1 only, or say allowPlaintext: true',
      });
    }
    if (listener.oldTls) {
      problems.push({
        path: [...path, 'oldTls'],
        severity: listener.tls === 'none' ? 'error' : 'warning',
        text:
          listener.tls === 'none'
            ? 'this says something only with TLS'
            : 'TLS 1.0 and 1.1 can be attacked: keep this listener for devices that have nothing newer',
      });
    }
    problems.push(...upstreamChecks([...path, 'upstream'], listener.upstream));
  }
  return [...problems, ...assumedLoginChecks(config)];
}

function assumedLoginChecks(config: Partial<Sections>): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const { principals } = config;
  for (const [i, { assumeLogin, host, proxyProtocolFrom }] of (config.submission ?? []).entries()) {
    if (assumeLogin === null) continue;
    const path = ['submission', i, 'assumeLogin'];
    if (proxyProtocolFrom.length > 0) {
      problems.push({
        path,
        severity: 'error',
        text: 'behind a load balancer nobody is known to be on this machine: leave proxyProtocolFrom out',
      });
    }
    if (!isLoopback(host)) {
      problems.push({
        path,
        severity: 'error',
        text: 'without a password the listener must be reachable from this machine only: listen on 127.0.0.1 or ::1',
      });
    }
    const listed = principals?.list.some(({ login }) => login === assumeLogin);
    if (listed === false && !(principals?.loginIsAddress === true && assumeLogin.includes('@'))) {
      problems.push({
        path,
        severity: 'warning',
        text: 'principals.list does not have this login: it has no address, and every mail will be refused',
      });
    }
  }
  return problems;
}

function upstreamChecks(path: readonly PropertyKey[], upstream: Listener['upstream']): CrossProblem[] {
  const problems: CrossProblem[] = [];
  if (upstream.tls === 'none' && !upstream.allowPlaintext && !isLoopback(upstream.host)) {
    problems.push({
      path: [...path, 'tls'],
      severity: 'error',
      text: 'without TLS passwords and mail can be read on the way to the server: choose starttls or implicit, or say allowPlaintext: true',
    });
  }
  if (upstream.proxyProtocol !== 'none' && upstream.tellClientAddress) {
    problems.push({
      path: [...path, 'tellClientAddress'],
      severity: 'error',
      text: 'the PROXY header tells the address already: choose one of them',
    });
  }
  for (const key of ['ca', 'serverName'] as const) {
    if (upstream.tls === 'none' && upstream[key] !== null) {
      problems.push({ path: [...path, key], severity: 'error', text: 'this says something only with TLS' });
    }
  }
  return problems;
}

function trustChecks(config: Partial<Sections>): CrossProblem[] {
  const { trust } = config;
  if (trust === undefined) return [];
  const problems: CrossProblem[] = [];
  if (trust.anchors.length + trust.restrictedAnchors.length === 0) {
    problems.push({
      path: ['trust'],
      severity: 'warning',
      text: 'there are no trust anchors: no signature will be shown as trusted and no certificate counts as verified',
    });
  }
  if (trust.revocation.failure === 'hard' && !trust.revocation.fetch) {
    problems.push({
      path: ['trust', 'revocation', 'fetch'],
      severity: 'warning',
      text: 'with failure: hard and without fetching, only mail that brings its own CRLs is trusted, and hardly anything can be encrypted',
    });
  }
  return problems;
}

function directoryChecks({ directory }: Partial<Sections>): CrossProblem[] {
  if (directory === undefined || directory.store.kind !== 'postgresql') return [];
  const { host, tls, allowPlaintext, ca, serverName } = directory.store;
  const path = ['directory', 'store'];
  const socket = host.startsWith('/');
  const problems: CrossProblem[] = [];
  if (socket && tls === 'verify') {
    problems.push({
      path: [...path, 'tls'],
      severity: 'error',
      text: 'over a Unix socket no TLS is spoken: say tls: none',
    });
  }
  if (!socket && tls === 'none' && !allowPlaintext && !isLoopback(host)) {
    problems.push({
      path: [...path, 'tls'],
      severity: 'error',
      text: 'without TLS the password can be read on the way, and certificates can be changed: say tls: verify, or allowPlaintext: true',
    });
  }
  for (const [key, value] of Object.entries({ ca, serverName })) {
    if (tls === 'none' && value !== null) {
      problems.push({ path: [...path, key], severity: 'error', text: 'this says something only with TLS' });
    }
  }
  return problems;
}

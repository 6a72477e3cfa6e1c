import type { Config } from '../config/load.ts';
import { FailedLogins } from '../connections/failed-logins.ts';
import { startImapListener } from '../imap-proxy/listener.ts';
import type { SearchScope } from '../imap-proxy/search/open-undecided.ts';
import type { OutboundStory } from '../pipeline/ports.ts';
import { answeredStory } from '../pipeline/trace.ts';
import { startPop3Listener } from '../pop3-proxy/listener.ts';
import { startSubmissionListener } from '../smtp-in/listener.ts';
import { startRelayListener } from '../smtp-in/relay-listener.ts';
import type { Installation } from '../store/installation.ts';
import type { HoldingSide } from './holding.ts';
import type { ListenerTls } from './listener-tls.ts';
import type { Closable, Opening } from './opening.ts';
import { gatewayLogin } from './outgoing-server.ts';
import type { Listening } from './ports.ts';
import type { OwnQueue } from './queue.ts';
import type { ReadingSide } from './reading.ts';
import type { RelaySide } from './relay.ts';
import { mailServerOf, type ProxyListener } from './upstreams.ts';

export type MailListenerParts = {
  outbound: OutboundStory;
  reading: ReadingSide;
  installation: Installation;
  relay: RelaySide;
  /** Takes answers to the gateway’s questions; null: it asks none. */
  waiting: Pick<HoldingSide, 'ownMailbox'> | null;
  /** Takes mail of listeners that say `delivery: queue`; null: the configuration has none. */
  queue: Pick<OwnQueue, 'storeAndForward'> | null;
};

/** Mail clients are taken from here on, and their mail servers called for them. */
export async function startMailListeners(
  { config, log, clock, opened }: Opening,
  { outbound, reading, installation, relay, waiting, queue }: MailListenerParts,
  { ports, tls }: Listening,
): Promise<void> {
  const shared = { tls, log, clock, hostname: config.hostname, failedLogins: new FailedLogins() };
  const running = (listener: ProxyListener, started: Closable & { port: number }) =>
    ports.add(listener, opened.keep(started).port);
  for (const listener of config.submission) {
    running(listener, await startSubmission(listener, shared, outbound, { waiting, queue }));
  }
  for (const listener of config.relay) {
    running(listener, await startRelay(listener, shared, { relay, queue }));
  }
  for (const listener of config.imap) {
    running(listener, await startImap(listener, shared, reading, installation));
  }
  for (const listener of config.pop3) {
    running(listener, await startPop3(listener, shared, reading, installation));
  }
}

type Shared = {
  tls: ListenerTls | null;
  log: Opening['log'];
  clock: Opening['clock'];
  hostname: string;
  failedLogins: FailedLogins;
};

function startSubmission(
  listener: Config['submission'][number],
  shared: Shared,
  story: OutboundStory,
  { waiting, queue }: Pick<MailListenerParts, 'waiting' | 'queue'>,
) {
  const { maxMessageSize: maxMessageOctets, assumeLogin } = listener;
  return startSubmissionListener({
    ...common(listener, shared),
    ...{ upstream: mailServerOf(listener), maxMessageOctets },
    story: listener.delivery === 'live' ? story : answeredStory(story, shared.hostname, shared.clock),
    relayMechanisms: listener.relayMechanisms,
    ...(listener.sendingLimits === null ? {} : { sendingBounds: listener.sendingLimits }),
    ...(assumeLogin === null ? {} : { assumeLogin }),
    ...(waiting === null ? {} : { ownMailbox: waiting.ownMailbox }),
    ...queued(listener, queue),
  });
}

async function startRelay(
  listener: Config['relay'][number],
  shared: Shared,
  { relay, queue }: Pick<MailListenerParts, 'relay' | 'queue'>,
) {
  const { allowPlainAuth: _, ...place } = common(listener, shared);
  const upstreamLogin = await gatewayLogin(listener.upstream, () => new Date());
  const asks = (listener.from?.certificates.length ?? 0) > 0;
  return startRelayListener({
    ...place,
    ...(asks && shared.tls !== null ? { secureContext: shared.tls.context(listener.oldTls, 'asked') } : {}),
    ...(upstreamLogin === null ? {} : { upstreamLogin }),
    upstream: mailServerOf(listener),
    maxMessageOctets: listener.maxMessageSize,
    ...queued(listener, queue),
    ...(await relay.of(listener)),
  });
}

/** Where mail goes that is not handed over while the client waits. */
function queued({ delivery }: { delivery: 'live' | 'queue' }, queue: MailListenerParts['queue']) {
  if (delivery === 'live') return {};
  if (queue === null) throw new Error('a listener that wants a queue where there is none');
  return { storeAndForward: queue.storeAndForward };
}

function startImap(
  listener: Config['imap'][number],
  shared: Shared,
  reading: ReadingSide,
  { viewSecret, id: installationId }: Installation,
) {
  const { story, storing, harvesting, openings, hasKeys, refresh, foreign, keywords } = reading;
  return startImapListener({
    ...common(listener, shared),
    upstream: mailServerOf(listener),
    ...{ story, storing, harvesting, openings, hasKeys, viewSecret, installationId },
    reading: reading.of(listener),
    ...(refresh === null ? {} : { refresh }),
    ...(foreign === null ? {} : { foreign }),
    ...(keywords === null ? {} : { keywords }),
    keyAway: listener.keyAway,
    search: searchScope(listener.search),
    warmUp: listener.warmUp,
    relayMechanisms: listener.relayMechanisms,
    rawLoginSuffix: listener.rawLoginSuffix,
    hiddenCapabilities: listener.hiddenCapabilities,
    compressUpstream: listener.compressUpstream,
  });
}

function searchScope({ in: kind, messages, seconds }: Config['imap'][number]['search']): SearchScope {
  return kind === 'opened' ? { kind } : { kind, messages, milliseconds: seconds * 1_000 };
}

function startPop3(
  listener: Config['pop3'][number],
  shared: Shared,
  reading: ReadingSide,
  { viewSecret, id: installationId }: Installation,
) {
  const { story, openings, hasKeys } = reading;
  return startPop3Listener({
    ...common(listener, shared),
    upstream: mailServerOf(listener),
    ...{ story, openings, hasKeys, viewSecret, installationId },
    reading: reading.of(listener),
    topBody: listener.topBody,
    relayMechanisms: listener.relayMechanisms,
    rawLoginSuffix: listener.rawLoginSuffix,
  });
}

function common(listener: ProxyListener, { tls: material, log, hostname, failedLogins }: Shared) {
  const { name, host, port, tls, maxConnections, allowPlaintext, proxyProtocolFrom, oldTls } = listener;
  const { maxConnectionsPerAddress, unlimitedNetworks } = listener;
  return {
    ...{ name, host, port, tls, maxConnections, proxyProtocolFrom, log, hostname },
    ...{ maxConnectionsPerAddress, unlimitedNetworks, failedLogins },
    allowPlainAuth: allowPlaintext,
    ...(material === null ? {} : { secureContext: material.context(oldTls) }),
  };
}

import type { Config } from './config/load.ts';
import { completeRows } from './directory/complete-rows.ts';
import { loadPinnedFiles } from './directory/pinned-files.ts';
import { openCopies } from './gateway/archives.ts';
import { openCluster } from './gateway/cluster.ts';
import { openDirectory } from './gateway/directory.ts';
import { type HoldingSide, openHolding } from './gateway/holding.ts';
import { startHttpListeners } from './gateway/http.ts';
import { openKeys } from './gateway/keys.ts';
import { loadListenerTls } from './gateway/listener-tls.ts';
import { startMailListeners } from './gateway/mail-listeners.ts';
import { Opened, type Opening } from './gateway/opening.ts';
import { judgingParts, openOutbound } from './gateway/outbound.ts';
import { PolicyInForce } from './gateway/policy-in-force.ts';
import { Ports } from './gateway/ports.ts';
import { publishedPeople, startLdapListeners } from './gateway/publishing.ts';
import { openQueue } from './gateway/queue.ts';
import { openReading } from './gateway/reading.ts';
import { openRelay } from './gateway/relay.ts';
import { holdStateFolder } from './gateway/state-folder.ts';
import { openTrail } from './gateway/trail.ts';
import { loadTrust, openRevocationFor } from './gateway/trust.ts';
import type { Log } from './log/log.ts';
import { deliveredVariants } from './store/delivered.ts';
import { openDirectoryStore } from './store/directory-store.ts';
import { loadInstallation } from './store/installation.ts';
import { openSqlite } from './store/sqlite.ts';

export { checkUpstreams, tellServersOfQueue } from './gateway/upstreams.ts';

/** A running gateway. */
export type Gateway = {
  /** The port a listener got, by its name: the configured one, or the system's choice for 0. */
  port(listener: string): number;
  /** Reads key files and key stores again; what cannot be read leaves its keys as they are, and the log says so. Never rejects. */
  reloadKeys(): Promise<void>;
  /** These rules and groups decide from now on: about each mail whose end of data comes after this, whole. */
  replacePolicy(policy: Config['policy']): void;
  /** Takes no more connections, ends the open ones in order, then closes keys and stores. */
  close(): Promise<void>;
};

/**
 * The only place where the parts meet, each opened by a file of `gateway/`: stores and keys, what the two stories need, the stories,
 * and at the end the listeners. What is opened later is closed earlier.
 *
 * @param stop ends a start that waits for keys, with an error
 * @throws SealgateError of the part that cannot be had; what was opened before is closed again.
 */
export async function startGateway(config: Config, lines: Log, stop?: AbortSignal): Promise<Gateway> {
  const opened = new Opened();
  try {
    await holdStateFolder({ config, opened });
    const cluster = await openCluster({ config, log: lines, opened }, stop);
    // What nodes write down for each other (when mail is over, what was told to clients) goes by one clock.
    const clock = cluster === null ? () => new Date() : () => cluster.nodes.now();
    const installation = cluster?.installation ?? (await loadInstallation(config.stateFolder));
    const log = await openTrail({ config, clock, opened }, lines, cluster);
    const opening: Opening = { config, log, clock, opened };
    const store = opened.keep(await openSqlite(config.directory.file));
    const pinned = await loadPinnedFiles(config.directory.pinned);
    await completeRows(store);
    const certificates =
      cluster?.store ?? opened.keep(await openDirectoryStore(config.directory.store, store));
    const keys = await openKeys(opening, store, stop);
    const { keyring } = keys;
    const queue = await openQueue(opening, keys.sources, cluster);
    const trust = await loadTrust(config.trust);
    let waiting: HoldingSide | null = null;
    const noted = (address: string) => waiting?.told(address);
    const directory = await openDirectory(opening, { certificates, pinned, trust, outages: store, noted });
    const revocation = opened.keep(await openRevocationFor(opening, trust));
    const policy = new PolicyInForce(config.policy);
    const judging = judgingParts(config, { keyring, revocation, clock });
    if (queue !== null) waiting = openHolding(opening, { queue, installation, judging, directory });
    const outbound = await openOutbound(opening, {
      ...{ judging, directory, policy, store: cluster?.rows ?? store, cluster },
      ...{ holding: waiting?.holding ?? null, ...(await openCopies(opening, queue)) },
      storeAndForward: queue?.storeAndForward ?? null,
    });
    const reading = await openReading(opening, {
      ...{ installation, keys, directory, certificates, trust, revocation, store, cluster },
    });
    const listening = { ports: new Ports(), tls: await loadListenerTls(config.tls) };
    const { ports } = listening;
    await queue?.start();
    waiting?.start();
    const { inbound } = reading;
    const delivered = deliveredVariants(cluster?.rows ?? store, clock);
    const relay = openRelay(opening, { outbound, inbound, delivered, installation });
    await startMailListeners(opening, { outbound, reading, installation, relay, waiting, queue }, listening);
    const { standing } = revocation;
    const people = publishedPeople(opening, { keys: keys.sources, standing });
    await startLdapListeners(opening, people, listening);
    await startHttpListeners(opening, { people, held: waiting }, listening);
    ports.tell(log);
    return {
      port: (listener) => ports.of(listener),
      async reloadKeys() {
        await keys.sources.reload();
      },
      replacePolicy(replacement) {
        policy.replace(replacement);
        cluster?.alike.replacePolicy(replacement);
      },
      async close() {
        log.write({ event: 'gateway.stopping', level: 'info' });
        await opened.close();
        log.write({ event: 'gateway.stopped', level: 'info' });
      },
    };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

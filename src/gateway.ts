import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SecureContext } from 'node:tls';
import type { Config } from './config/load.ts';
import { AddressRanges } from './connections/address-range.ts';
import { FailedLogins } from './connections/failed-logins.ts';
import { type MailServer, type MailServerOptions, prepareMailServer } from './connections/mail-server.ts';
import { tlsContext } from './connections/tls-context.ts';
import { completeRows } from './directory/complete-rows.ts';
import { loadPinnedFiles } from './directory/pinned-files.ts';
import { openRemote } from './directory/remote/open-remote.ts';
import { signerDecisions } from './directory/signer-decisions.ts';
import { SqlDirectory } from './directory/sql-directory.ts';
import { SealgateError } from './errors.ts';
import { sourceOf } from './hsm/key-reference.ts';
import { openKeySources } from './hsm/key-sources.ts';
import { createKeyring } from './hsm/keyring.ts';
import type { StoringSettings } from './imap-proxy/append/begin-storing.ts';
import type { KeywordSettings } from './imap-proxy/keywords/owed-keywords.ts';
import { startImapListener } from './imap-proxy/listener.ts';
import { type RefreshSettings, TriedMessages } from './imap-proxy/refresh/refreshing.ts';
import type { SearchScope } from './imap-proxy/search/open-undecided.ts';
import { connectUpstream as connectImap } from './imap-proxy/upstream-connection.ts';
import type { Log } from './log/log.ts';
import { encryptedSpool } from './octets/encrypted-spool.ts';
import { atRestStory } from './pipeline/at-rest.ts';
import { inboundStory } from './pipeline/inbound.ts';
import { keyFit } from './pipeline/key-fit.ts';
import { lockedSecrets } from './pipeline/locked-secrets.ts';
import { outboundStory } from './pipeline/outbound.ts';
import type { Clock, ForeignJudge, InboundStory, OutboundStory } from './pipeline/ports.ts';
import type { Certificate } from './pki/certificate.ts';
import { readCertificates } from './pki/certificate-file.ts';
import { TrustAnchors } from './pki/trust-anchors.ts';
import { startPop3Listener } from './pop3-proxy/listener.ts';
import { connectUpstream as connectPop3 } from './pop3-proxy/upstream-connection.ts';
import { Epochs } from './reading/epochs/login-epochs.ts';
import { Openings } from './reading/openings.ts';
import type { Reading } from './reading/reader-views.ts';
import type { ReadingSettings } from './reading/reading-settings.ts';
import { RecordedMailboxes } from './reading/recorded-mailbox.ts';
import { StoredViews, type StoredViewsParts, storeReaders } from './reading/stored/stored-views.ts';
import { openRevocation } from './revocation/open-revocation.ts';
import { startSubmissionListener } from './smtp-in/listener.ts';
import { connectUpstream as connectSmtp } from './smtp-out/connect.ts';
import { atRestMailboxes } from './store/at-rest-mailboxes.ts';
import { openDecisions } from './store/decision-records.ts';
import { deliveredVariants } from './store/delivered.ts';
import { openDirectoryStore } from './store/directory-store.ts';
import { epochMigrations } from './store/epoch-migrations.ts';
import { SqliteEpochs } from './store/epochs.ts';
import { type Installation, loadInstallation } from './store/installation.ts';
import { keyInventories } from './store/key-inventories.ts';
import { type OpenedViewRecords, openViewRecords } from './store/open-view-records.ts';
import { refusedSecrets } from './store/refused-secrets.ts';
import { openSqlite } from './store/sqlite.ts';
import { openStoredContents, removeStoredContents, STORED_VIEWS_FILE } from './store/stored-contents.ts';

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

type Closable = { close(): Promise<void> };

/**
 * The only place where the parts meet: opens stores and keys, tells the two stories what they need, starts the listeners.
 *
 * @param stop ends a start that waits for keys, with an error
 * @throws SealgateError of the part that cannot be had; what was opened before is closed again.
 */
export async function startGateway(config: Config, log: Log, stop?: AbortSignal): Promise<Gateway> {
  const open: Closable[] = [];
  const close = async () => {
    for (let part = open.pop(); part !== undefined; part = open.pop()) await part.close();
  };
  try {
    const clock: Clock = () => new Date();
    const installation = await loadInstallation(config.stateFolder);
    const store = await openSqlite(config.directory.file);
    open.push(store);
    const pinned = await loadPinnedFiles(config.directory.pinned);
    await completeRows(store);
    const certificates = await openDirectoryStore(config.directory.store, store);
    open.push(certificates);
    const sources = await openKeySources(config.keys, {
      ...{ log, clock, postQuantum: config.smime.postQuantum },
      remembered: keyInventories(store, clock),
      refusals: refusedSecrets(store, clock),
      ...(stop === undefined ? {} : { signal: stop }),
    });
    open.push(sources);
    const principals = config.principals.list;
    const keyring = createKeyring({
      principals,
      loginIsAddress: config.principals.loginIsAddress,
      keys: sources,
      log,
      clock,
    });
    const [anchors, intermediates] = await Promise.all([
      trustAnchorsOf(config.trust),
      certificatesOf(config.trust.intermediates),
    ]);
    const remote = await openRemote({
      ...{ settings: config.directory, store: certificates, own: store, anchors, intermediates, clock, log },
      postQuantum: config.smime.postQuantum,
    });
    const directory = new SqlDirectory({ store: certificates, pinned, clock, log, remote });
    const revocation = await openRevocation({
      settings: config.trust.revocation,
      file: join(config.stateFolder, 'revocation.sqlite'),
      ...{ anchors: [...anchors.all], intermediates, clock, log },
    });
    open.push(revocation);
    const { failure } = config.trust.revocation;
    // One reference: rules and the groups they name are replaced together.
    let { policy } = config;
    const decisions = await openDecisions(config.stateFolder, policy.recordDays, clock);
    if (decisions !== null) open.push(decisions.store);
    const outbound = outboundStory({
      keyring,
      directory,
      delivered: deliveredVariants(store, clock),
      get rules() {
        return policy.rules;
      },
      get groups() {
        return policy.groups;
      },
      ...(decisions === null ? {} : { decisions: decisions.records }),
      algorithms: config.smime,
      addressAlgorithms: principals.flatMap(({ login, profiles }) =>
        profiles.map((profile) => ({ ...profile, login })),
      ),
      revocation: { standing: revocation.standing, failure },
      clock,
      log,
    });
    const inbound = inboundStory({
      decisions: signerDecisions(certificates, clock, log),
      ...{ keyring, directory, anchors, intermediates, clock, log },
      subjectEmailAddress: config.trust.subjectEmailAddress,
      revocation: { checker: revocation.checker, failure },
    });
    const storing: StoringSettings = {
      rules: config.append.rules,
      story: atRestStory({
        ...{ keyring, clock, algorithms: config.smime, spool: encryptedSpool() },
        standing: revocation.standing,
      }),
      mailboxes: atRestMailboxes(store),
    };
    const epochStore = await openSqlite(join(config.stateFolder, 'epochs.sqlite'), epochMigrations);
    open.push(epochStore);
    const kept = new SqliteEpochs(epochStore, clock);
    const epochs = new Epochs(kept, clock);
    const { newEpoch } = config.reading;
    const views = await openViewRecords(config.stateFolder, kept, { newEpoch, now: clock() });
    open.push(views.store);
    tellRecords(views, newEpoch, log);
    // A message that may be moved gets a new UID, which costs clients less.
    const needsEpoch = newEpoch === 'at-need' && config.reading.refreshAfterNewKey === 0;
    const recorded = new RecordedMailboxes(
      views.records,
      needsEpoch ? (reader, mailbox) => kept.need(reader, mailbox) : null,
    );
    const stored = await openStored(config, {
      locks: lockedSecrets({ keyring, clock, standing: revocation.standing }),
      ...{ secret: installation.viewSecret, log },
    });
    if (stored !== null) {
      open.push(stored);
      sources.onChange(() => stored.views.keysChanged());
    }
    const settings = readingSettings(config.reading);
    const readingOf = ({ upstream }: Listener): Reading => ({
      ...{ recorded, settings, epochs },
      ...(stored === null ? {} : { stored: stored.views }),
      account: upstream.host.toLowerCase(),
    });
    const { refreshAfterNewKey: messages } = config.reading;
    const fit = keyFit(keyring);
    const refresh: RefreshSettings | null =
      messages === 0 ? null : { messages, fit, tried: new TriedMessages() };
    const { keywords } = config.reading;
    const foreign = config.reading.foreign === 'peek-first' ? fit : null;
    const withKeys = loginsThatRead(principals, config.keys);
    const tlsMaterial = await listenerMaterial(config);
    const ports = new Map<string, number>();
    const failedLogins = new FailedLogins();
    const shared = { tlsMaterial, log, hostname: config.hostname, failedLogins };
    for (const listener of config.submission) {
      const started = await startSubmission(listener, shared, outbound);
      open.push(started);
      ports.set(listener.name, started.port);
    }
    const openings = new Openings();
    for (const listener of config.imap) {
      const started = await startImap(listener, shared, inbound, {
        ...{ installation, withKeys, storing, refresh, foreign, keywords, openings },
        reading: readingOf(listener),
      });
      open.push(started);
      ports.set(listener.name, started.port);
    }
    for (const listener of config.pop3) {
      const started = await startPop3(listener, shared, inbound, {
        ...{ installation, withKeys, openings },
        reading: readingOf(listener),
      });
      open.push(started);
      ports.set(listener.name, started.port);
    }
    for (const { name, host } of [...config.submission, ...config.imap, ...config.pop3]) {
      log.write({
        event: 'gateway.listening',
        level: 'info',
        listener: name,
        host,
        port: ports.get(name) ?? 0,
      });
    }
    return {
      port(listener) {
        const port = ports.get(listener);
        if (port === undefined) throw new Error(`no listener is called ${listener}`);
        return port;
      },
      async reloadKeys() {
        await sources.reload();
      },
      replacePolicy(replacement) {
        policy = replacement;
      },
      async close() {
        await close();
        log.write({ event: 'gateway.stopped', level: 'info' });
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Logins with keys that open mail, by the configuration alone: a card that is out, or that was never seen, is a key that is away
 * and not one that is absent.
 */
function loginsThatRead(
  principals: readonly { login: string; keys: readonly string[] }[],
  sources: Config['keys'],
): ReadonlySet<string> {
  const opening = new Set(sources.filter(({ use }) => use !== 'sign').map(({ name }) => name));
  const reading = principals.filter(({ keys }) => keys.some((key) => opening.has(sourceOf(key))));
  return new Set(reading.map(({ login }) => login));
}

/** Loudly: what clients have cached and what they get from now on may differ. */
function tellRecords(
  { movedTo, lost }: OpenedViewRecords,
  newEpoch: Config['reading']['newEpoch'],
  log: Log,
): void {
  if (movedTo !== null) log.write({ event: 'view.records-damaged', level: 'error', movedTo });
  if (lost !== 'no') log.write({ event: 'view.records-lost', level: 'error', newEpoch });
}

/** What all kinds have. */
type Listener = Config['imap'][number] | Config['pop3'][number] | Config['submission'][number];
type Shared = {
  tlsMaterial: ListenerMaterial | null;
  log: Log;
  hostname: string;
  failedLogins: FailedLogins;
};

function startSubmission(listener: Config['submission'][number], shared: Shared, story: OutboundStory) {
  const { maxMessageSize: maxMessageOctets, assumeLogin } = listener;
  return startSubmissionListener({
    ...common(listener, shared),
    ...{ upstream: mailServer(listener), story, maxMessageOctets },
    ...(assumeLogin === null ? {} : { assumeLogin }),
  });
}

type ReadingParts = {
  installation: Installation;
  withKeys: ReadonlySet<string>;
  reading: Reading;
  openings: Openings;
};

function readingSettings(config: Config['reading']): ReadingSettings {
  const { shell, padding, profiles, backlog, unauthenticated, protectedHeaders } = config;
  const { clearSignedStatus, foreign } = config;
  return {
    form: { shell, padding },
    profiles: profiles.map(({ logins, clients, networks, ...form }) => ({
      ...{ logins, clients, form },
      networks: networks === null ? null : new AddressRanges(networks),
    })),
    backlog: backlog === 'all' ? null : backlog,
    policy: { unauthenticated, protectedHeaders },
    ...{ clearSignedStatus, foreign },
  };
}

/** What was opened and is kept over sessions; null: nothing is to be kept, and nothing is there any more. */
async function openStored(
  { stateFolder, reading: { store }, imap, principals }: Config,
  parts: Pick<StoredViewsParts, 'locks' | 'secret' | 'log'>,
): Promise<(Closable & { views: StoredViews }) | null> {
  const file = join(stateFolder, STORED_VIEWS_FILE);
  if (store.keep === 'off') {
    await removeStoredContents(file);
    return null;
  }
  const { contents, store: database } = await openStoredContents(file);
  const views = new StoredViews({ ...parts, contents, maxOctets: store.maxSize, logins: store.logins });
  await views.keepOnly(storeReaders(imap, principals.list));
  return {
    views,
    async close() {
      await views.close();
      await database.close();
    },
  };
}

type Storing = { storing: StoringSettings; refresh: RefreshSettings | null; foreign: ForeignJudge | null } & {
  keywords: KeywordSettings | null;
};

async function startImap(
  listener: Config['imap'][number],
  shared: Shared,
  story: InboundStory,
  { installation, withKeys, storing, reading, refresh, foreign, keywords, openings }: ReadingParts & Storing,
) {
  return startImapListener({
    ...common(listener, shared),
    upstream: mailServer(listener),
    ...{ story, storing, reading, openings },
    ...(refresh === null ? {} : { refresh }),
    ...(foreign === null ? {} : { foreign }),
    ...(keywords === null ? {} : { keywords }),
    hasKeys: ({ login }) => withKeys.has(login),
    keyAway: listener.keyAway,
    search: searchScope(listener.search),
    warmUp: listener.warmUp,
    relayMechanisms: listener.relayMechanisms,
    rawLoginSuffix: listener.rawLoginSuffix,
    hiddenCapabilities: listener.hiddenCapabilities,
    compressUpstream: listener.compressUpstream,
    viewSecret: installation.viewSecret,
    installationId: installation.id,
  });
}

function searchScope({ in: kind, messages, seconds }: Config['imap'][number]['search']): SearchScope {
  return kind === 'opened' ? { kind } : { kind, messages, milliseconds: seconds * 1_000 };
}

async function startPop3(
  listener: Config['pop3'][number],
  shared: Shared,
  story: InboundStory,
  { installation, withKeys, reading, openings }: ReadingParts,
) {
  return startPop3Listener({
    ...common(listener, shared),
    upstream: mailServer(listener),
    ...{ reading, story, openings },
    hasKeys: ({ login }) => withKeys.has(login),
    topBody: listener.topBody,
    relayMechanisms: listener.relayMechanisms,
    rawLoginSuffix: listener.rawLoginSuffix,
    viewSecret: installation.viewSecret,
    installationId: installation.id,
  });
}

/**
 * Calls every upstream once, as a session would, and hangs up.
 *
 * @throws SealgateError `upstream.check-failed` with the listener, the server and what to do.
 */
export async function checkUpstreams(config: Config): Promise<void> {
  await Promise.all([
    ...config.submission.map((listener) =>
      checked(listener, async (server) => {
        const client = await connectSmtp(server, config.hostname);
        client.quit();
      }),
    ),
    ...config.imap.map((listener) =>
      checked(listener, async (server) => {
        const { wire } = await connectImap(server, null, new AbortController().signal);
        wire.destroy();
      }),
    ),
    ...config.pop3.map((listener) =>
      checked(listener, async (server) => {
        const { replies } = await connectPop3(server, null, new AbortController().signal);
        replies.leg.write('QUIT\r\n');
        replies.leg.end();
      }),
    ),
  ]);
}

async function checked(listener: Listener, call: (server: MailServer) => Promise<void>): Promise<void> {
  const {
    name,
    upstream: { host, port, tls },
  } = listener;
  try {
    await call(await prepareMailServer(mailServer(listener)));
  } catch (cause) {
    if (!(cause instanceof SealgateError)) throw cause;
    throw new SealgateError({
      code: 'upstream.check-failed',
      duration: 'permanent',
      publicText: `The mail server ${host}:${port} behind the listener "${name}" cannot be used (${cause.reason ?? cause.publicText}). Check upstream.host, port and tls: ${tls} in the configuration, or start with --no-upstream-check.`,
      cause,
    });
  }
}

function mailServer({ upstream }: Listener): MailServerOptions {
  const { host, port, tls, allowPlaintext, ca, serverName, proxyProtocol, tellClientAddress } = upstream;
  return {
    ...{ host, port, tls, allowPlaintext, proxyProtocol, tellClientAddress },
    ...(ca === null ? {} : { caFile: ca }),
    ...(serverName === null ? {} : { serverName }),
  };
}

function common(listener: Listener, { tlsMaterial, log, hostname, failedLogins }: Shared) {
  const { name, host, port, tls, maxConnections, allowPlaintext, proxyProtocolFrom, oldTls } = listener;
  const { maxConnectionsPerAddress, unlimitedNetworks } = listener;
  return {
    ...{ name, host, port, tls, maxConnections, proxyProtocolFrom, log, hostname },
    ...{ maxConnectionsPerAddress, unlimitedNetworks, failedLogins },
    allowPlainAuth: allowPlaintext,
    ...(tlsMaterial === null ? {} : { secureContext: tlsMaterial.context(oldTls) }),
  };
}

/** Every anchor with what it is believed for. @throws SealgateError where a file holds none */
export async function trustAnchorsOf(trust: Config['trust']): Promise<TrustAnchors> {
  const restricted = trust.restrictedAnchors.map(async ({ file, for: purposes, domains }) => ({
    ...{ certificates: await certificatesOf([file]), purposes: new Set(purposes), domains },
  }));
  return new TrustAnchors([
    {
      certificates: await certificatesOf(trust.anchors),
      purposes: new Set(['signing', 'encryption'] as const),
      domains: null,
    },
    ...(await Promise.all(restricted)),
  ]);
}

/** @throws SealgateError where a file holds none */
export async function certificatesOf(files: readonly string[]): Promise<Certificate[]> {
  return (await Promise.all(files.map(async (file) => readCertificates(await readFile(file))))).flat();
}

/** The certificate and key for clients; one context for all listeners with the same settings. */
type ListenerMaterial = { context(oldTls: boolean): SecureContext };

async function listenerMaterial({ tls }: Config): Promise<ListenerMaterial | null> {
  if (tls === null) return null;
  try {
    const material = {
      cert: await readFile(tls.certificate),
      key: await readFile(tls.key),
      ...(tls.passphrase === null ? {} : { passphrase: tls.passphrase.reveal() }),
    };
    const usual = tlsContext(material, false);
    return { context: (oldTls) => (oldTls ? tlsContext(material, true) : usual) };
  } catch (cause) {
    throw new SealgateError({
      code: 'listener.tls',
      duration: 'permanent',
      publicText: `The certificate ${tls.certificate} and the key ${tls.key} cannot be used for TLS: ${cause instanceof Error ? cause.message : 'unknown error'}. They must belong together and be PEM.`,
      cause,
    });
  }
}

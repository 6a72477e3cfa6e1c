import { join } from 'node:path';
import type { Config } from '../config/load.ts';
import { signerDecisions } from '../directory/signer-decisions.ts';
import type { StoringSettings } from '../imap-proxy/append/begin-storing.ts';
import { Harvesting } from '../imap-proxy/append/harvesting.ts';
import type { KeywordSettings } from '../imap-proxy/keywords/owed-keywords.ts';
import { type RefreshSettings, TriedMessages } from '../imap-proxy/refresh/refreshing.ts';
import type { Log } from '../log/log.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import { atRestStory } from '../pipeline/at-rest.ts';
import { harvestStory } from '../pipeline/harvest-stored.ts';
import { type InboundParts, inboundStory } from '../pipeline/inbound.ts';
import { keyFit } from '../pipeline/key-fit.ts';
import { lockedSecrets } from '../pipeline/locked-secrets.ts';
import type { CertificateDirectory, ForeignJudge, InboundStory } from '../pipeline/ports.ts';
import { Epochs } from '../reading/epochs/login-epochs.ts';
import { Openings } from '../reading/openings.ts';
import type { Reading } from '../reading/reader-views.ts';
import { RecordedMailboxes } from '../reading/recorded-mailbox.ts';
import { StoredViews, type StoredViewsParts, storeReaders } from '../reading/stored/stored-views.ts';
import type { Revocation } from '../revocation/open-revocation.ts';
import { atRestMailboxes } from '../store/at-rest-mailboxes.ts';
import { epochMigrations } from '../store/epoch-migrations.ts';
import { SqliteEpochs } from '../store/epochs.ts';
import type { Installation } from '../store/installation.ts';
import { type OpenedViewRecords, openViewRecords, sharedViewRecords } from '../store/open-view-records.ts';
import type { SqlStore } from '../store/sql-store.ts';
import { openSqlite } from '../store/sqlite.ts';
import { openStoredContents, removeStoredContents, STORED_VIEWS_FILE } from '../store/stored-contents.ts';
import type { Cluster } from './cluster.ts';
import type { Keys } from './keys.ts';
import type { Closable, Opening } from './opening.ts';
import { loginsThatRead, readingSettings } from './reading-settings.ts';
import type { Trust } from './trust.ts';

export type ReadingParts = {
  installation: Installation;
  keys: Keys;
  directory: CertificateDirectory;
  /** Where certificates and the decisions about them are. */
  certificates: SqlStore;
  trust: Trust;
  revocation: Revocation;
  /** The gateway's own. */
  store: SqlStore;
  cluster: Cluster | null;
};

/** What every session that reads mail works with. */
export type ReadingSide = {
  /** What mail is opened with. */
  inbound: InboundParts;
  story: InboundStory;
  openings: Openings;
  /** Whether a login has keys that open mail. */
  hasKeys(principal: { login: string }): boolean;
  storing: StoringSettings;
  harvesting: Harvesting;
  refresh: RefreshSettings | null;
  foreign: ForeignJudge | null;
  keywords: KeywordSettings | null;
  of(listener: { upstream: { host: string } }): Reading;
};

/** The way in: what is shown of mail, and what is remembered of having shown it. */
export async function openReading(
  { config, log, clock, opened }: Opening,
  { installation, keys, directory, certificates, trust, revocation, store, cluster }: ReadingParts,
): Promise<ReadingSide> {
  const { keyring, sources } = keys;
  const inbound: InboundParts = {
    decisions: signerDecisions(certificates, clock, log),
    ...{ ...trust, keyring, directory, clock, log },
    subjectEmailAddress: config.trust.subjectEmailAddress,
    revocation: { checker: revocation.checker, failure: config.trust.revocation.failure },
  };
  const story = inboundStory(inbound);
  const harvesting = opened.keep(new Harvesting(harvestStory(inbound), log));
  const kept = new SqliteEpochs(
    cluster?.store ??
      opened.keep(await openSqlite(join(config.stateFolder, 'epochs.sqlite'), epochMigrations)),
    clock,
  );
  const epochs = new Epochs(kept, clock);
  const { newEpoch, refreshAfterNewKey: messages, keywords } = config.reading;
  const views = await recordsOf({ config, clock, opened }, kept, { cluster, installation });
  tellRecords(views, newEpoch, log);
  // A message that may be moved gets a new UID, which costs clients less.
  const needsEpoch = newEpoch === 'at-need' && messages === 0;
  const recorded = new RecordedMailboxes(
    views.records,
    needsEpoch ? (reader, mailbox) => kept.need(reader, mailbox) : null,
  );
  const stored = await openStored(config, {
    locks: lockedSecrets({ keyring, clock, standing: revocation.standing }),
    ...{ secret: installation.viewSecret, log },
  });
  if (stored !== null) {
    opened.keep(stored);
    sources.onChange(() => stored.views.keysChanged());
  }
  const fit = keyFit(keyring);
  const settings = readingSettings(config.reading);
  const withKeys = loginsThatRead(config.principals.list, config.keys);
  return {
    ...{ inbound, story, harvesting, keywords },
    openings: new Openings(),
    hasKeys: ({ login }) => withKeys.has(login),
    storing: {
      rules: config.append.rules,
      story: atRestStory({
        ...{ keyring, clock, algorithms: config.smime, spool: encryptedSpool() },
        standing: revocation.standing,
      }),
      mailboxes: atRestMailboxes(cluster?.rows ?? store),
    },
    refresh: messages === 0 ? null : { messages, fit, tried: new TriedMessages() },
    foreign: config.reading.foreign === 'peek-first' ? fit : null,
    of: ({ upstream }) => ({
      ...{ recorded, settings, epochs },
      ...(stored === null ? {} : { stored: stored.views }),
      account: upstream.host.toLowerCase(),
    }),
  };
}

async function recordsOf(
  { config, clock, opened }: Pick<Opening, 'config' | 'clock' | 'opened'>,
  epochs: SqliteEpochs,
  { cluster, installation }: Pick<ReadingParts, 'cluster' | 'installation'>,
): Promise<Omit<OpenedViewRecords, 'store'>> {
  const settings = { installation: installation.id, newEpoch: config.reading.newEpoch };
  if (cluster !== null) {
    return cluster.whenThere(() => sharedViewRecords(cluster.rows, epochs, settings));
  }
  const views = await openViewRecords(config.stateFolder, epochs, { ...settings, now: clock() });
  opened.keep(views.store);
  return views;
}

/** Loudly: what clients have cached and what they get from now on may differ. */
function tellRecords(
  { movedTo, lost }: Omit<OpenedViewRecords, 'store'>,
  newEpoch: Config['reading']['newEpoch'],
  log: Log,
): void {
  if (movedTo !== null) log.write({ event: 'view.records-damaged', level: 'error', movedTo });
  if (lost !== 'no') log.write({ event: 'view.records-lost', level: 'error', newEpoch });
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

import { AddressGuard } from '../connections/address-guard.ts';
import type { Resolver } from '../connections/http-exchange.ts';
import type { Log } from '../log/log.ts';
import type { Clock, RevocationStanding } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import { CertificateSet } from '../pki/certificate-set.ts';
import type { RevocationChecker } from '../pki/revocation-checker.ts';
import { revocationMigrations } from '../store/revocation-migrations.ts';
import { openSqlite, type SqlStore } from '../store/sqlite.ts';
import { revocationChecker } from './checker.ts';
import { EvidenceFile } from './evidence-file.ts';
import { EvidenceKeeper } from './evidence-keeper.ts';
import { loadKnownIssuers } from './known-issuers.ts';
import type { NonceUse, SourceOrder } from './sources.ts';
import { revocationStanding } from './standing.ts';

/** `trust.revocation` of the configuration. */
export type RevocationSettings = {
  fetch: boolean;
  sources: SourceOrder;
  nonce: NonceUse;
  timeoutSeconds: number;
  maxAgeHours: number | null;
  graceHours: number;
  allowAddresses: readonly string[];
  allowPorts: readonly number[];
  cacheSize: number;
};

export type RevocationParts = {
  settings: RevocationSettings;
  /** The cache; null: nothing survives a restart. */
  file: string | null;
  anchors: readonly Certificate[];
  intermediates: readonly Certificate[];
  clock: Clock;
  log: Log;
  /** For tests. */
  resolve?: Resolver;
  deadline?: (ms: number) => AbortSignal;
};

export type Revocation = {
  checker: RevocationChecker;
  standing: RevocationStanding;
  close(): Promise<void>;
};

/** Everything of revocation, wired. Nothing is fetched before somebody asks; a cache file that is of no use stops nobody. */
export async function openRevocation(parts: RevocationParts): Promise<Revocation> {
  const { settings, anchors, intermediates, clock, log } = parts;
  const deadline = parts.deadline ?? ((ms: number) => AbortSignal.timeout(ms));
  const store = await cacheStore(parts);
  const file = store === null ? null : new EvidenceFile(store, settings.cacheSize);
  const issuers = await loadKnownIssuers(file, log);
  const maxAgeMs = settings.maxAgeHours === null ? null : hours(settings.maxAgeHours);
  const keeper = new EvidenceKeeper({ file, maxAgeMs, clock, log, deadline });
  const anchorSet = new CertificateSet(anchors);
  const checker = revocationChecker({
    ...{ anchors: anchorSet, keeper, issuers, fetch: settings.fetch, maxAgeMs, deadline, clock, log },
    timeoutMs: settings.timeoutSeconds * 1000,
    graceMs: hours(settings.graceHours),
    rules: {
      sources: settings.sources,
      nonce: settings.nonce,
      guard: new AddressGuard(settings.allowAddresses),
      ports: new Set(settings.allowPorts),
      ...(parts.resolve === undefined ? {} : { resolve: parts.resolve }),
    },
  });
  return {
    checker,
    standing: revocationStanding({ checker, anchors: anchorSet, intermediates, issuers, clock, log }),
    async close() {
      await keeper.close();
      await store?.close();
    },
  };
}

async function cacheStore({ file, log }: RevocationParts): Promise<SqlStore | null> {
  if (file === null) return null;
  try {
    return await openSqlite(file, revocationMigrations);
  } catch (error) {
    log.write({ event: 'revocation.cache-failed', level: 'warn', reason: String(error) });
    return null;
  }
}

function hours(count: number): number {
  return count * 3_600_000;
}

import type { Config } from '../config/load.ts';
import { openMemberships } from '../directory/groups/open-memberships.ts';
import type { JudgingParts } from '../pipeline/judge-submission.ts';
import { outboundStory } from '../pipeline/outbound.ts';
import type {
  CertificateDirectory,
  Clock,
  Keyring,
  OutboundStory,
  StoreAndForward,
} from '../pipeline/ports.ts';
import type { Holding } from '../pipeline/waiting.ts';
import type { Revocation } from '../revocation/open-revocation.ts';
import { openDecisions, type SqliteDecisions, sharedDecisions } from '../store/decision-records.ts';
import { deliveredVariants } from '../store/delivered.ts';
import type { SqlStore } from '../store/sql-store.ts';
import type { CopiesAndNotices } from './archives.ts';
import type { Cluster } from './cluster.ts';
import type { Opening } from './opening.ts';
import type { PolicyInForce } from './policy-in-force.ts';

export type OutboundParts = {
  judging: JudgingParts;
  directory: CertificateDirectory;
  policy: PolicyInForce;
  store: SqlStore;
  cluster: Cluster | null;
  /** Where mail waits; null: nowhere, and no rule asks for it. */
  holding: Holding | null;
  /** Null: there is no queue. */
  storeAndForward: StoreAndForward | null;
} & CopiesAndNotices;

/** The way out: what leaves, for whom, and how. */
export async function openOutbound(
  { config, log, clock, opened }: Opening,
  { judging, directory, policy, store, cluster, holding, storeAndForward, archives, notices }: OutboundParts,
): Promise<OutboundStory> {
  const memberships = await openMemberships(config.directory, log);
  const decisions = await recordsOf({ config, clock, opened }, cluster);
  return outboundStory({
    ...{ ...judging, directory, memberships, holding, storeAndForward, archives, notices, log },
    delivered: deliveredVariants(store, clock),
    get rules() {
      return policy.rules;
    },
    get groups() {
      return policy.groups;
    },
    ...(decisions === null ? {} : { decisions }),
  });
}

async function recordsOf(
  { config, clock, opened }: Pick<Opening, 'config' | 'clock' | 'opened'>,
  cluster: Cluster | null,
): Promise<SqliteDecisions | null> {
  const { recordDays: days } = config.policy;
  if (cluster !== null) return cluster.whenThere(() => sharedDecisions(cluster.rows, days, clock));
  const decisions = await openDecisions(config.stateFolder, days, clock);
  if (decisions === null) return null;
  opened.keep(decisions.store);
  return decisions.records;
}

/** What mail that leaves is judged with, by the gateway and by whoever wants to know beforehand. */
export function judgingParts(
  { smime, principals, trust }: Config,
  { keyring, revocation, clock }: { keyring: Keyring; revocation: Revocation; clock: Clock },
): JudgingParts {
  return {
    keyring,
    algorithms: smime,
    addressAlgorithms: principals.list.flatMap(({ login, profiles }) =>
      profiles.map((profile) => ({ ...profile, login })),
    ),
    revocation: { standing: revocation.standing, failure: trust.revocation.failure },
    clock,
  };
}

import type { Command } from 'commander';
import { installationFromSecret } from '../cluster/installation-from-secret.ts';
import { differing, listNodes, type NodeState } from '../cluster/nodes.ts';
import { type RedisStatus, redisStatus } from '../cluster/redis-status.ts';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { redisPlace } from '../gateway/queue-state.ts';
import { printable } from '../log/printable.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';
import { jsonText } from './json-output.ts';
import { withShared } from './kept-state.ts';
import { configPath, readConfig } from './read-config.ts';

type Options = { config?: string; json?: true };

/** `sealgate cluster`: several gateways as one. */
export function addClusterCommands(program: Command): void {
  program
    .command('cluster')
    .description('several gateways that share the work')
    .command('status')
    .description('the nodes, what is in their queue, and whether PostgreSQL and Redis are there')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'as JSON')
    .action((options: Options) => status(options));
}

type QueueDepth = {
  deliveries: number;
  /** Their time has come, and nobody is at work on them. */
  due: number;
  /** Somebody is. */
  underWay: number;
  /** Since when the longest of those waits whose time has come. */
  oldestDue: Date | null;
  /** Mails of which somebody waits for a certificate. */
  held: number;
};

/** What is in the database. */
type SharedStatus = {
  nodes: readonly Omit<NodeState, 'alike'>[];
  /** Sections of the configuration that nodes which are here do not have alike. */
  differs: readonly string[];
  queue: QueueDepth;
  postgresql: PostgresqlHere;
};

/** `octets`: that all tables of the gateways have. */
type PostgresqlHere = { state: 'here'; version: string; octets: number };
type PostgresqlAway = { state: 'away'; reason: string };

type ClusterStatus = (SharedStatus | { postgresql: PostgresqlAway }) & {
  /** null: the configuration has none. */
  redis: RedisStatus | null;
};

async function status(options: Options): Promise<void> {
  const config = await readConfig(configPath(options.config));
  const { cluster } = config;
  if (cluster === null) {
    throw new SealgateError({
      code: 'cluster.none',
      duration: 'permanent',
      publicText: 'The configuration has no section cluster: this gateway is the only one.',
    });
  }
  const [redis, shared] = await Promise.all([
    cluster.redis === null
      ? null
      : redisStatus(await redisPlace(cluster.redis, installationFromSecret(cluster.secret))),
    sharedStatus(config).catch(awayOf),
  ]);
  const found: ClusterStatus = { ...shared, redis };
  process.stdout.write(options.json === true ? `${jsonText(found)}\n` : page(found));
  if (shared.postgresql.state === 'away') process.exitCode = 1;
}

function sharedStatus(config: Config): Promise<SharedStatus> {
  return withShared(config, async (store) => ({
    ...(await nodesOf(store)),
    queue: await queueDepth(store.snapshots()),
    postgresql: await postgresqlState(store),
  }));
}

function awayOf(error: unknown): { postgresql: PostgresqlAway } {
  if (!(error instanceof SealgateError) || error.duration === 'permanent') throw error;
  return { postgresql: { state: 'away', reason: error.reason ?? error.publicText } };
}

async function nodesOf(store: SqlStore): Promise<Pick<SharedStatus, 'nodes' | 'differs'>> {
  const found = await listNodes(store);
  const here = found.filter(({ state }) => state === 'here');
  return {
    nodes: found.map(({ alike: _, ...node }) => node),
    differs: differing(here.map(({ alike }) => alike)),
  };
}

async function queueDepth(store: SqlStore): Promise<QueueDepth> {
  // Not that of this machine, which may be no node.
  const now = store.clock ?? sql`${Date.now()}`;
  const [row] = await store.query(sql`SELECT
    (SELECT count(*) FROM delivery) AS deliveries,
    (SELECT count(*) FROM delivery WHERE state = 'waiting' AND next_at <= ${now} AND lease_until <= ${now}) AS due,
    (SELECT min(next_at) FROM delivery WHERE state = 'waiting' AND next_at <= ${now} AND lease_until <= ${now}) AS oldest,
    (SELECT count(*) FROM delivery WHERE lease_until > ${now}) AS under_way,
    (SELECT count(DISTINCT h.mail) FROM held h JOIN held_recipient r ON r.spool = h.spool WHERE NOT EXISTS
      (SELECT 1 FROM held_settled s WHERE s.spool = r.spool AND s.position = r.position)) AS held`);
  return {
    deliveries: Number(row?.deliveries),
    due: Number(row?.due),
    underWay: Number(row?.under_way),
    oldestDue: typeof row?.oldest === 'number' ? new Date(row.oldest) : null,
    held: Number(row?.held),
  };
}

async function postgresqlState(store: SqlStore): Promise<PostgresqlHere> {
  const [row] = await store.query(
    sql`SELECT current_setting('server_version') AS version,
        (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
         WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace) AS octets`,
  );
  return { state: 'here', version: String(row?.version), octets: Number(row?.octets) };
}

function page(found: ClusterStatus): string {
  const { redis } = found;
  const lines = 'nodes' in found ? sharedLines(found) : [postgresqlAway(found.postgresql)];
  return [...lines, ...redisText(redis), ''].join('\n');
}

function postgresqlAway({ reason }: PostgresqlAway): string {
  return `PostgreSQL  AWAY (${printable(reason)}): nodes take nothing into the queue, deliver nothing out of it, and are not seen from here`;
}

function sharedLines({ nodes, differs, queue, postgresql }: SharedStatus): readonly string[] {
  const { deliveries, due, underWay, oldestDue, held } = queue;
  const waits = oldestDue === null ? '' : `, the first since ${oldestDue.toISOString()}`;
  return [
    ...(nodes.length === 0 ? ['No node runs.'] : nodes.map(nodeText)),
    ...(differs.length === 0
      ? []
      : [`config      DIFFERS between nodes in ${differs.join(', ')}: mail is not treated alike`]),
    `queue       ${inWords(deliveries)}: ${underWay} under way, ${due} due${waits}; ${held === 1 ? '1 mail is' : `${held} mails are`} held`,
    `PostgreSQL  ${postgresql.version}, ${Math.ceil(postgresql.octets / 1024 / 1024)} MiB`,
  ];
}

function inWords(deliveries: number): string {
  return deliveries === 1 ? '1 delivery' : `${deliveries} deliveries`;
}

function nodeText({
  name,
  state,
  startedAt,
  seenAt,
  redis,
  version,
  underWay,
}: SharedStatus['nodes'][number]): string {
  return state === 'here'
    ? `node        ${printable(name)}: here, since ${startedAt.toISOString()}, version ${printable(version)}, Redis ${printable(redis)}, ${inWords(underWay)} under way`
    : `node        ${printable(name)}: SILENT since ${seenAt.toISOString()}; the others finish its ${inWords(underWay)}`;
}

function redisText(redis: RedisStatus | null): readonly string[] {
  if (redis === null) return ['Redis       none is configured'];
  if (redis.state === 'away') {
    return [
      `Redis       AWAY (${printable(redis.reason)}): each node delivers what it has taken, and late what others have`,
    ];
  }
  return [
    `Redis       here, ${redis.orders} orders`,
    ...redis.forgets.map((one) => `            it may forget: ${one}`),
  ];
}

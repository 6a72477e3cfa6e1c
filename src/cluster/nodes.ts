import { randomUUID } from 'node:crypto';
import type { Log } from '../log/log.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';

export type NodesParts = {
  store: SqlStore;
  /** Of this node. */
  name: string;
  /** Of the program. */
  version?: string;
  /** Digests of what all nodes have to be told alike, by its name in the configuration. */
  alike?: () => Digests;
  log: Log;
};

type Digests = Readonly<Record<string, string>>;

/** What a node says of its queue. */
export type QueueWords = {
  /** Digests of the certificates of `queue.key` (the first, to which this node seals) and `queue.formerKeys`, as they are now. */
  keys(): readonly string[];
  /** How Redis is to it, in one word. */
  redis(): string;
};

export type NodeState = {
  name: string;
  startedAt: Date;
  /** By the clock of the database. */
  seenAt: Date;
  /** `silent`: nothing was heard of it for a while. */
  state: 'here' | 'silent';
  redis: string;
  version: string;
  /** As of `NodesParts`. */
  alike: Digests;
  /** Deliveries that it is at work on. */
  underWay: number;
};

const BEAT_MS = 5_000;
/** Three beats that did not come. */
const SILENT_AFTER_MS = 20_000;
/** Then a node is not talked of any more. */
const FORGOTTEN_AFTER_MS = 7 * 24 * 3_600_000;
/** Clocks that are kept by NTP are nearer than this. */
const CLOCK_MS = 2_000;

/**
 * Who is there: each node says so in a row, every few seconds. Nothing is decided by it: who delivers is said by claims in the rows of the queue.
 */
export class Nodes {
  readonly #parts: NodesParts;
  readonly name: string;
  /** Of this run of the process: in the claims of its deliveries, too. */
  readonly run: string = randomUUID();
  #queue: QueueWords = { keys: () => [], redis: () => 'unused' };
  #timer: NodeJS.Timeout | null = null;
  #beating: Promise<void> = Promise.resolve();
  /** What the database's clock said, and when, by a clock of this machine that nobody sets. Milliseconds. */
  #heard = { there: Date.now(), at: performance.now() };
  readonly #told = new Set<string>();

  constructor(parts: NodesParts) {
    this.#parts = parts;
    this.name = parts.name;
  }

  /** The time that all nodes agree on: that of the database, as it was heard last. Nothing that becomes of this machine's own clock changes it. */
  now(): Date {
    return new Date(Math.round(this.#heard.there + performance.now() - this.#heard.at));
  }

  /** From the next beat on, which comes at once. Never rejects. */
  async tellOfQueue(queue: QueueWords): Promise<void> {
    this.#queue = queue;
    await this.#beatNext();
  }

  /** Later on nothing keeps a node from its work when nobody hears of it. @throws SealgateError `store.unavailable`: its clock is not known */
  async join(): Promise<void> {
    const { name, log } = this.#parts;
    await this.#beat(true);
    const nodes = await listNodes(this.#parts.store).catch(() => []);
    log.write({
      ...{ event: 'cluster.joined', level: 'info', name },
      nodes: nodes.filter(({ state }) => state === 'here').length,
    });
    this.#timer = setInterval(() => void this.#beatNext(), BEAT_MS);
  }

  #beatNext(): Promise<void> {
    // The store itself says what it lacks to whoever needs it for mail.
    this.#beating = this.#beating.then(() => this.#beat(false)).catch(() => undefined);
    return this.#beating;
  }

  /** Takes its leave, so that nobody takes it for dead. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#beating;
    const { store, name } = this.#parts;
    await store
      .query(sql`DELETE FROM cluster_node WHERE name = ${name} AND run = ${this.run}`)
      .catch(() => undefined);
  }

  /** @throws SealgateError `store.unavailable` */
  async #beat(isFirst: boolean): Promise<void> {
    const { store, name, version = '', alike, log } = this.#parts;
    const { keys, redis } = this.#queue;
    const asked = performance.now();
    const [former = [], beaten = [], others = []] = await (store.urgent ?? store).transaction([
      sql`SELECT run FROM cluster_node WHERE name = ${name}`,
      sql`INSERT INTO cluster_node (name, run, started_at, seen_at, redis, queue_keys, version, alike)
          VALUES (${name}, ${this.run}, ${NOW}, ${NOW}, ${redis()}, ${JSON.stringify(keys())}, ${version},
            ${JSON.stringify(alike?.() ?? {})})
          ON CONFLICT (name) DO UPDATE SET run = excluded.run, seen_at = excluded.seen_at, redis = excluded.redis,
            queue_keys = excluded.queue_keys, version = excluded.version, alike = excluded.alike,
            started_at = CASE WHEN cluster_node.run = excluded.run THEN cluster_node.started_at ELSE excluded.started_at END
          RETURNING seen_at`,
      sql`SELECT name, queue_keys, version, alike, ${NOW} - seen_at AS silent FROM cluster_node WHERE name <> ${name}`,
      sql`DELETE FROM cluster_node WHERE seen_at < ${NOW} - ${FORGOTTEN_AFTER_MS}::bigint`,
    ]);
    this.#heedClock(Number(beaten[0]?.seen_at), asked);
    const run = former[0]?.run;
    // Whoever starts takes the place of the one that was; whoever goes on has lost it.
    if (!isFirst && run !== undefined && run !== this.run) {
      log.write({ event: 'cluster.name-twice', level: 'error', name });
    }
    for (const other of others) this.#look(String(other.name), other);
  }

  #heedClock(there: number, asked: number): void {
    const at = performance.now();
    if (!Number.isFinite(there)) return;
    // What the answer took is not known to be of the one way or the other.
    const took = at - asked;
    const heard = { there: there + took / 2, at };
    if (Math.abs(heard.there - this.now().getTime()) > took) this.#heard = heard;
    const ahead = heard.there - Date.now();
    this.#once('clock', Math.abs(ahead) > CLOCK_MS + took, () =>
      this.#parts.log.write({ event: 'cluster.clock', level: 'warn', seconds: Math.round(ahead / 1_000) }),
    );
  }

  #look(node: string, { queue_keys: keys, silent, version, alike }: Readonly<Record<string, unknown>>): void {
    const { log, alike: mine } = this.#parts;
    const own = this.#queue.keys();
    const isSilent = Number(silent) > SILENT_AFTER_MS;
    this.#once(`gone ${node}`, isSilent, () =>
      log.write({ event: 'cluster.node-gone', level: 'warn', node }),
    );
    const [sealsTo] = textsOf(String(keys));
    this.#once(
      `key ${node}`,
      !isSilent && own.length > 0 && sealsTo !== undefined && !own.includes(sealsTo),
      () => log.write({ event: 'cluster.key-missing', level: 'error', node }),
    );
    const isOther = !isSilent && version !== '' && version !== this.#parts.version;
    this.#once(`version ${node}`, isOther, () =>
      log.write({ event: 'cluster.version-differs', level: 'warn', node, version: String(version) }),
    );
    const sections = isSilent ? [] : differing([mine?.() ?? {}, digestsOf(alike)]);
    this.#once(`alike ${node}`, sections.length > 0, () =>
      log.write({ event: 'cluster.config-differs', level: 'error', node, sections: sections.join(' ') }),
    );
  }

  /** Said when it begins to be so, and again only after it was not. */
  #once(what: string, isSo: boolean, say: () => void): void {
    if (!isSo) this.#told.delete(what);
    else if (!this.#told.has(what)) {
      this.#told.add(what);
      say();
    }
  }
}

/** By name. @throws SealgateError `store.unavailable` */
export async function listNodes(store: SqlStore): Promise<readonly NodeState[]> {
  const rows = await store.query(
    sql`SELECT name, started_at, seen_at, redis, version, alike, ${NOW} - seen_at AS silent,
          (SELECT count(*) FROM delivery WHERE lease_holder = run) AS under_way
        FROM cluster_node ORDER BY name`,
  );
  return rows.map((row) => ({
    name: String(row.name),
    startedAt: new Date(Number(row.started_at)),
    seenAt: new Date(Number(row.seen_at)),
    state: Number(row.silent) > SILENT_AFTER_MS ? 'silent' : 'here',
    redis: String(row.redis),
    version: String(row.version),
    alike: digestsOf(row.alike),
    underWay: Number(row.under_way),
  }));
}

/** What is not the same in all that have it: a node of another version may say nothing of it. */
export function differing(said: readonly Digests[]): readonly string[] {
  const names = new Set(said.flatMap((one) => Object.keys(one)));
  return [...names].filter((name) => new Set(said.flatMap((one) => one[name] ?? [])).size > 1).toSorted();
}

function digestsOf(json: unknown): Digests {
  const parsed: unknown = JSON.parse(String(json));
  if (typeof parsed !== 'object' || parsed === null) return {};
  return Object.fromEntries(Object.entries(parsed).map(([name, digest]) => [name, String(digest)]));
}

/** Of the database, milliseconds since 1970. */
const NOW = { sql: '(extract(epoch FROM clock_timestamp()) * 1000)::bigint', parameters: [] };

function textsOf(json: string): readonly string[] {
  const parsed: unknown = JSON.parse(json);
  return Array.isArray(parsed) ? parsed.map(String) : [];
}

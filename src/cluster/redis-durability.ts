import { SealgateError } from '../errors.ts';

/** What is asked of a Redis before it is trusted to keep what it is told. */
export interface AskedRedis {
  config(subcommand: 'GET', ...names: string[]): Promise<unknown>;
  info(...sections: string[]): Promise<string>;
}

/** What a Redis may forget, each with what has to be set; empty: nothing. */
export type Shortcomings = readonly string[];

/** Nothing can be ordered there. */
export const REPLICA = 'it is a replica, which takes nothing: say the address of the primary';
/** Names of one queue lie on several of them, and its scripts on none. */
const PART_OF_CLUSTER =
  'it is one of a Redis Cluster, which cannot keep this queue: say the address of a single server, or of a primary with replicas';

const SETTINGS = ['appendonly', 'appendfsync', 'maxmemory-policy'] as const;
type Setting = (typeof SETTINGS)[number];
const WANTED: Readonly<Record<Setting, string>> = {
  appendonly: 'yes',
  appendfsync: 'always',
  'maxmemory-policy': 'noeviction',
};
const BECAUSE: Readonly<Record<Setting, string>> = {
  appendonly: 'it writes nothing to the disk, or now and then only',
  appendfsync: 'a crash takes what it was told last',
  'maxmemory-policy': 'it throws away what it was told when its memory is full',
};

/**
 * What this Redis may forget. Where `CONFIG` is forbidden, as managed services do, `INFO` says the rest but for `appendfsync`.
 *
 * @throws whatever the connection throws
 */
export async function shortcomings(redis: AskedRedis): Promise<Shortcomings> {
  const info = infoOf(await redis.info());
  const settings = (await configured(redis)) ?? {
    ...(info.has('aof_enabled') ? { appendonly: info.get('aof_enabled') === '1' ? 'yes' : 'no' } : {}),
    ...(info.has('maxmemory_policy') ? { 'maxmemory-policy': info.get('maxmemory_policy') ?? '' } : {}),
  };
  const role = info.get('role');
  const found: string[] = [];
  if (role !== undefined && role !== 'master') found.push(REPLICA);
  if (info.get('redis_mode') === 'cluster') found.push(PART_OF_CLUSTER);
  for (const name of SETTINGS) {
    const [present, wanted] = [settings[name], WANTED[name]];
    if (present === wanted) continue;
    found.push(
      present === undefined
        ? `it does not say its ${name}: see to it that it is "${wanted}" (CONFIG is forbidden to this user)`
        : `its ${name} is "${present}", so ${BECAUSE[name]}: set "${name} ${wanted}"`,
    );
  }
  return found;
}

/** @throws SealgateError `cluster.redis-forgets` (permanent) where there are some */
export function refuseShortcomings(found: Shortcomings, place: string): void {
  if (found.length === 0) return;
  throw new SealgateError({
    code: 'cluster.redis-forgets',
    duration: 'permanent',
    publicText: `The Redis ${place} may forget what it is told: ${found.join('; ')}. Change it in redis.conf (appendonly yes, appendfsync always, maxmemory-policy noeviction), or say cluster.redis.acceptLosses: true; no mail is lost by that, but deliveries are late by up to half a minute.`,
  });
}

/** null: it may not be asked. */
async function configured(redis: AskedRedis): Promise<Partial<Record<Setting, string>> | null> {
  let answer: unknown;
  try {
    answer = await redis.config('GET', ...SETTINGS);
  } catch (error) {
    // NOPERM (ACL), or a command that was renamed away.
    if (error instanceof Error && /^(NOPERM|ERR unknown command|ERR Unknown)/i.test(error.message))
      return null;
    throw error;
  }
  const found: Partial<Record<Setting, string>> = {};
  for (const [name, value] of pairs(answer)) {
    const setting = SETTINGS.find((one) => one === name);
    if (setting !== undefined) found[setting] = value;
  }
  return found;
}

/** A map by RESP3, a list of names and values by RESP2. */
function pairs(answer: unknown): readonly (readonly [string, string])[] {
  if (Array.isArray(answer)) {
    return answer.flatMap((name, at) =>
      at % 2 === 0 ? [[String(name), String(answer[at + 1])] as const] : [],
    );
  }
  if (answer instanceof Map)
    return [...answer].map(([name, value]) => [String(name), String(value)] as const);
  if (typeof answer !== 'object' || answer === null) return [];
  return Object.entries(answer).map(([name, value]) => [name, String(value)] as const);
}

function infoOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(/\r?\n/).flatMap((line) => {
      const at = line.indexOf(':');
      return at < 1 || line.startsWith('#') ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
    }),
  );
}

import type { CrossProblem } from './cross-checks.ts';
import { isLoopback } from './loopback.ts';
import type { Sections } from './schema.ts';

/** What is wrong between the section `cluster` and the others. */

/** What can be guessed protects nothing. */
const SECRET_CHARACTERS = 32;

export function clusterChecks(config: Partial<Sections>): CrossProblem[] {
  const { cluster, directory, queue } = config;
  if (cluster === undefined || cluster === null) return [];
  const problems: CrossProblem[] = [];
  const error = (path: readonly string[], text: string) =>
    problems.push({ path: ['cluster', ...path], severity: 'error', text });
  if (directory !== undefined && directory.store.kind !== 'postgresql') {
    error([], 'the nodes share a PostgreSQL database: say where it is in directory.store');
  }
  if ([...cluster.secret.reveal()].length < SECRET_CHARACTERS) {
    error(
      ['secret'],
      `it has fewer than ${SECRET_CHARACTERS} characters: make one with "openssl rand -base64 48", the same for all nodes`,
    );
  }
  if (queue !== undefined && queue !== null && cluster.redis === null) {
    error([], 'the section queue needs a Redis by which the nodes share the work: say where it is in redis');
  }
  if (queue === null && cluster.redis !== null) {
    error(['redis'], 'this says something only with the section queue');
  }
  return [...problems, ...(cluster.redis === null ? [] : redisChecks(cluster.redis))];
}

function redisChecks(redis: NonNullable<NonNullable<Sections['cluster']>['redis']>): CrossProblem[] {
  const { host, tls, allowPlaintext, user, password } = redis;
  const problems: CrossProblem[] = [];
  const error = (key: string, text: string) =>
    problems.push({ path: ['cluster', 'redis', key], severity: 'error', text });
  if (tls === 'none' && !allowPlaintext && !isLoopback(host)) {
    error(
      'tls',
      'without TLS the password can be read on the way, and deliveries held up: say tls: verify, or allowPlaintext: true',
    );
  }
  for (const key of ['ca', 'serverName'] as const) {
    if (tls === 'none' && redis[key] !== null) error(key, 'this says something only with TLS');
  }
  if (user !== null && password === null) error('user', 'a user needs a password');
  return problems;
}

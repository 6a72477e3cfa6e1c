import { expect, test } from 'vitest';
import { type Files, noFiles } from '../../src/config/files.ts';
import { parseConfig } from '../../src/config/load.ts';

const SECRET = '0123456789abcdef0123456789abcdef';

const files = (secret: string): Files => ({ ...noFiles, readSecret: () => ({ kind: 'ok', value: secret }) });

const QUEUE = `
keys: [{ name: gateway, kind: pem, certificate: gateway.crt, key: gateway.key }]
queue: { key: gateway, address: own@example.org, server: { host: mail.example.org, port: 587, tls: starttls } }
`;
const STORE = `
directory: { store: { kind: postgresql, host: /run/postgresql, tls: none, database: sealgate, user: sealgate } }
`;

function problems(text: string, secret = SECRET): string[] {
  const listener = `
hostname: gateway.example.org
policy: { rules: [{ name: all, sign: never, encrypt: never }] }
imap: [{ name: imap, host: 127.0.0.1, port: 143, tls: none, upstream: { host: 127.0.0.1, port: 1143, tls: none } }]
`;
  const loaded = parseConfig('gateway.yaml', listener + text, files(secret));
  if (loaded.kind === 'ok') return [];
  return loaded.problems
    .filter(({ severity }) => severity === 'error')
    .map(({ path, text: what }) => `${path}: ${what}`);
}

const cluster = (more: string) => `cluster: { secret: { file: s }, ${more} }\n`;
const REDIS = 'redis: { host: redis.example.org, password: { file: p } }';

test('a cluster needs the PostgreSQL of the directory', () => {
  expect(problems(cluster('node: one'))).toEqual([
    'cluster: the nodes share a PostgreSQL database: say where it is in directory.store',
  ]);
  expect(problems(cluster('node: one') + STORE)).toEqual([]);
});

test('a queue of a cluster needs a Redis, and a Redis a queue', () => {
  expect(problems(cluster('node: one') + STORE + QUEUE)).toEqual([
    'cluster: the section queue needs a Redis by which the nodes share the work: say where it is in redis',
  ]);
  expect(problems(cluster(REDIS) + STORE)).toEqual([
    'cluster.redis: this says something only with the section queue',
  ]);
  expect(problems(cluster(REDIS) + STORE + QUEUE)).toEqual([]);
});

test('a secret that can be guessed is refused', () => {
  expect(problems(cluster('node: one') + STORE, 'short')).toEqual([
    'cluster.secret: it has fewer than 32 characters: make one with "openssl rand -base64 48", the same for all nodes',
  ]);
});

test.each([
  ['redis: { host: redis.example.org, tls: none }', 'cluster.redis.tls: without TLS'],
  [
    'redis: { host: 127.0.0.1, tls: none, ca: ca.pem }',
    'cluster.redis.ca: this says something only with TLS',
  ],
  ['redis: { host: redis.example.org, user: sealgate }', 'cluster.redis.user: a user needs a password'],
])('settings of Redis that contradict each other: %s', (redis, expected) => {
  const [problem = '', ...others] = problems(cluster(redis) + STORE + QUEUE);
  expect(problem.startsWith(expected)).toBe(true);
  expect(others).toEqual([]);
});

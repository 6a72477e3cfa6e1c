import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { differing, listNodes, Nodes } from '../../src/cluster/nodes.ts';
import { noFiles } from '../../src/config/files.ts';
import { type Config, parseConfig } from '../../src/config/load.ts';
import { AlikeSections } from '../../src/gateway/alike.ts';
import type { Event } from '../../src/log/events.ts';
import { clusterTables } from '../../src/store/cluster-tables.ts';
import { openPostgresql, type PostgresqlStore } from '../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../src/store/postgresql-migrations.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';

/** Nodes whose configurations or versions differ: a rule that only one of them has protects a part of the mail. */

let server: Started<Postgresql>;
let store: PostgresqlStore;
const events: Event[] = [];
beforeAll(async () => {
  server = await postgresql();
  store = await openPostgresql(
    {
      ...{ host: server.socket, port: server.port, database: await server.database(), user: 'test' },
      ...{ password: null, tls: null, connections: 2, timeoutSeconds: 10 },
    },
    postgresqlMigrations,
    clusterTables(),
  );
});
afterAll(async () => {
  await store.close();
  await server.stop();
});
beforeEach(() => {
  events.length = 0;
});

function config(rules: string, more = ''): Config {
  const yaml = [
    'hostname: gw.example.org',
    'submission:',
    '  - { name: s, host: 127.0.0.1, port: 5587, tls: none, upstream: { host: 127.0.0.1, port: 25, tls: none } }',
    `policy: { rules: [${rules}] }`,
    more,
  ].join('\n');
  const loaded = parseConfig('/etc/gateway.yaml', yaml, noFiles);
  if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

const SIGN = '{ name: all, sign: require, encrypt: never }';
const BOTH = '{ name: all, sign: require, encrypt: require }';

function node(name: string, alike: AlikeSections, version = '1.0.0') {
  const log = { write: (event: Event) => void events.push(event) };
  return new Nodes({ store, name, version, alike: () => alike.digests, log });
}

const told = (name: Event['event']) => events.filter(({ event }) => event === name);
const QUIET = { keys: () => [], redis: () => 'unused' };

test('a node with other rules is told of, by the others and by itself, once, until it has the same', async () => {
  const mine = new AlikeSections(config(BOTH));
  const theirs = new AlikeSections(config(SIGN));
  const [one, two] = [node('one', mine), node('two', theirs)];
  await one.join();
  await two.join();
  await one.tellOfQueue(QUIET);
  await one.tellOfQueue(QUIET);
  expect(told('cluster.config-differs')).toEqual([
    { event: 'cluster.config-differs', level: 'error', node: 'one', sections: 'policy' },
    { event: 'cluster.config-differs', level: 'error', node: 'two', sections: 'policy' },
  ]);
  expect(differing((await listNodes(store)).map(({ alike }) => alike))).toEqual(['policy']);
  // As after SIGHUP.
  theirs.replacePolicy(config(BOTH).policy);
  await two.tellOfQueue(QUIET);
  await one.tellOfQueue(QUIET);
  expect(differing((await listNodes(store)).map(({ alike }) => alike))).toEqual([]);
  theirs.replacePolicy(config(SIGN).policy);
  await two.tellOfQueue(QUIET);
  await one.tellOfQueue(QUIET);
  expect(told('cluster.config-differs')).toHaveLength(4);
  await one.close();
  await two.close();
});

test('a node of another version is told of, and what it does not say differs from nothing', async () => {
  const mine = new AlikeSections(config(BOTH));
  const [old, fresh] = [node('old', mine), node('new', mine, '1.1.0')];
  await old.join();
  await fresh.join();
  await old.tellOfQueue(QUIET);
  expect(events.filter(({ event }) => event !== 'cluster.joined')).toEqual([
    { event: 'cluster.version-differs', level: 'warn', node: 'old', version: '1.0.0' },
    { event: 'cluster.version-differs', level: 'warn', node: 'new', version: '1.1.0' },
  ]);
  expect(differing([mine.digests, { policy: mine.digests.policy ?? '' }, {}])).toEqual([]);
  await old.close();
  await fresh.close();
});

test('the order in which somebody has written it is no difference, and where a node is may be one', () => {
  const one = new AlikeSections(config('{ name: all, sign: require, encrypt: require }'));
  const two = new AlikeSections(
    config(
      '{ encrypt: require, sign: require, name: all }',
      'stateFolder: /srv/state\nlog: { level: debug }\n',
    ),
  );
  expect(two.digests).toEqual(one.digests);
});

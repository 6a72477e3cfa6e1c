import { noFiles } from '../../../src/config/files.ts';
import { type Config, parseConfig } from '../../../src/config/load.ts';
import type { Postgresql } from '../../support/services/postgresql.ts';

type Where = Pick<Postgresql, 'socket' | 'port'>;

/** The configuration of a node without a queue, with this database. */
export function nodeConfigText({ socket, port }: Where, database: string): string {
  const upstream = { host: '127.0.0.1', port: 25, tls: 'none' };
  const store = { kind: 'postgresql', host: socket, port, database, user: 'test', tls: 'none' };
  return JSON.stringify({
    hostname: 'gw.example.org',
    submission: [{ name: 'submission', host: '127.0.0.1', port: 5587, tls: 'none', upstream }],
    directory: { store },
    policy: { rules: [{ name: 'all', sign: 'require', encrypt: 'never' }] },
    cluster: { node: 'one', secret: { file: 'cluster.secret' } },
  });
}

/** The same, read. */
export function nodeConfig(where: Where, database: string, secret = 'a'): Config {
  const files = { ...noFiles, readSecret: () => ({ kind: 'ok', value: secret.repeat(48) }) as const };
  const loaded = parseConfig('/etc/gateway.yaml', nodeConfigText(where, database), files);
  if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

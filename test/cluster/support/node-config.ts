import { noFiles } from '../../../src/config/files.ts';
import { type Config, parseConfig } from '../../../src/config/load.ts';
import type { Postgresql } from '../../support/services/postgresql.ts';

/** Of a node without a queue, with this database. */
export function nodeConfig(
  { socket, port }: Pick<Postgresql, 'socket' | 'port'>,
  database: string,
  secret = 'a',
): Config {
  const upstream = { host: '127.0.0.1', port: 25, tls: 'none' };
  const store = { kind: 'postgresql', host: socket, port, database, user: 'test', tls: 'none' };
  const data = {
    hostname: 'gw.example.org',
    submission: [{ name: 'submission', host: '127.0.0.1', port: 5587, tls: 'none', upstream }],
    directory: { store },
    policy: { rules: [{ name: 'all', sign: 'require', encrypt: 'never' }] },
    cluster: { node: 'one', secret: { file: 'cluster.secret' } },
  };
  const files = { ...noFiles, readSecret: () => ({ kind: 'ok', value: secret.repeat(48) }) as const };
  const loaded = parseConfig('/etc/gateway.yaml', JSON.stringify(data), files);
  if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

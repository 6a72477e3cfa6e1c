import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';

/** What nodes share (installation-from-secret.ts). */
export const CLUSTER_SECRET = '0123456789abcdef'.repeat(3);

type Place = { host: string; port: number };

/** Where a node finds what it needs, and is found itself. */
export type NodePlaces = {
  listener: Place;
  database: Place & { database: string; timeoutSeconds?: number };
  redis: Place;
  mailServer: Place;
  /** A balancer of this machine says who has called it. */
  balancer: boolean;
};

/**
 * What the nodes of a test have alike: keys, the shared secret, and a rule that signs everything for alice@sealgate.test.
 *
 * @returns writes the configuration of one of them, and says where it is
 */
export async function clusterFiles(
  folder: string,
): Promise<(name: string, places: NodePlaces) => Promise<string>> {
  const pki = await createThrowawayPki(join(folder, 'pki'));
  const alice = await pki.issueUser({ address: 'alice@sealgate.test' });
  const own = await pki.issueUser({ address: 'gateway@sealgate.test' });
  const secret = join(folder, 'cluster.secret');
  await writeFile(secret, CLUSTER_SECRET, { mode: 0o600 });
  const pem = ({ certificateFile: certificate, keyFile: key }: typeof own, name: string) => ({
    ...{ name, kind: 'pem', certificate, key },
  });
  const open = { tls: 'none', allowPlaintext: true };
  return async (name, { listener, database, redis, mailServer, balancer }) => {
    await mkdir(join(folder, name), { mode: 0o700 });
    const file = join(folder, name, 'gateway.yaml');
    const upstream = { ...mailServer, ...open };
    const configuration = {
      ...{ hostname: 'gateway.sealgate.test', stateFolder: join(folder, name, 'state') },
      log: { format: 'json', level: 'debug' },
      submission: [
        {
          ...{ name: 'submission', ...listener, ...open, delivery: 'queue', upstream },
          ...(balancer ? { proxyProtocolFrom: ['127.0.0.1'] } : {}),
        },
      ],
      keys: [pem(alice, 'alice'), pem(own, 'gateway')],
      principals: { list: [{ login: 'alice', addresses: ['alice@sealgate.test'], keys: ['alice'] }] },
      trust: { anchors: [pki.ca.certificateFile] },
      policy: { rules: [{ name: 'all', sign: 'require', encrypt: 'never' }] },
      queue: { key: 'gateway', address: 'gateway@sealgate.test', server: upstream },
      directory: { store: { kind: 'postgresql', ...database, ...open, user: 'test' } },
      cluster: { node: name, secret: { file: secret }, redis: { ...redis, ...open } },
    };
    await writeFile(file, stringify(configuration), { mode: 0o600 });
    return file;
  };
}

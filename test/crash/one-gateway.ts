import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { stringify } from 'yaml';
import { QUEUE } from '../../src/store/queue-migrations.ts';
import { gatewayProcess, loadWorld, retryAll } from './load-world.ts';
import { SENDER } from './numbered-mail.ts';
import { revived } from './revived.ts';
import { keyProcess, type Setting } from './setting.ts';

/** One gateway and the mail server behind it; each of them is killed, and the processes that hold the gateway's keys. */
export async function oneGateway(delivery: 'live' | 'queue', folder: string): Promise<Setting> {
  const { port, kept, caFile, secret, server, queue, settings, sink } = await loadWorld(folder);
  const stateFolder = join(folder, 'state');
  const configFile = join(folder, 'gateway.yaml');
  const listener = {
    name: 'load',
    host: '127.0.0.1',
    port,
    tls: 'none',
    assumeLogin: SENDER,
    upstream: server,
  };
  const config = {
    ...settings,
    stateFolder,
    submission: [delivery === 'live' ? listener : { ...listener, delivery }],
    directory: { pinned: [secret.certificateFile] },
    queue: { ...queue, server: { ...server, connections: 10 } },
  };
  await writeFile(configFile, stringify(config), { mode: 0o600 });
  const gateway = gatewayProcess('the gateway', configFile, port);
  await sink.start();
  await gateway.start();
  return {
    ...{ port, kept, caFile, secret },
    victims: [revived(gateway), revived(sink), keyProcess(() => [gateway.pid])],
    endedByItself: Promise.race([gateway.endedByItself, sink.endedByItself]),
    async waiting() {
      const database = new DatabaseSync(join(stateFolder, QUEUE), { readOnly: true, timeout: 5_000 });
      try {
        return Number(database.prepare('SELECT count(*) AS mails FROM delivery').get()?.mails);
      } finally {
        database.close();
      }
    },
    hurry: () => retryAll(configFile),
    async stop() {
      await gateway.stop();
      await sink.stop();
    },
  };
}

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { stringify } from 'yaml';
import { freePort } from '../../src/evaluation/free-port.ts';
import { runToEnd } from '../../src/evaluation/run-program.ts';
import { createThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { QUEUE } from '../../src/store/queue-migrations.ts';
import { READABLE, SECRET, SENDER } from './numbered-mail.ts';
import { Restartable } from './restartable.ts';
import { killedKeyProcess, type Setting } from './setting.ts';

/** One gateway and the mail server behind it; each of them is killed, and the processes that hold the gateway's keys. */
export async function oneGateway(delivery: 'live' | 'queue', folder: string): Promise<Setting> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const pki = await createThrowawayPki(join(folder, 'pki'));
  const [sender, secret, own] = await Promise.all([
    pki.issueUser({ address: SENDER }),
    pki.issueUser({ address: SECRET }),
    pki.issueUser({ address: 'gateway@sealgate.test', keyType: 'p-256' }),
  ]);
  const [port, sinkPort] = [await freePort(), await freePort()];
  const kept = join(folder, 'kept.jsonl');
  const stateFolder = join(folder, 'state');
  const configFile = join(folder, 'gateway.yaml');
  const upstream = { host: '127.0.0.1', port: sinkPort, tls: 'none' };
  const listener = { name: 'load', host: '127.0.0.1', port, tls: 'none', assumeLogin: SENDER, upstream };
  const settings = {
    hostname: 'gateway.sealgate.test',
    stateFolder,
    submission: [delivery === 'live' ? listener : { ...listener, delivery }],
    keys: [
      { name: 'load', kind: 'pem', certificate: sender.certificateFile, key: sender.keyFile },
      { name: 'own', kind: 'pem', certificate: own.certificateFile, key: own.keyFile },
    ],
    principals: { list: [{ login: SENDER, addresses: [SENDER], keys: ['load'] }] },
    trust: { anchors: [pki.ca.certificateFile] },
    directory: { pinned: [secret.certificateFile] },
    policy: {
      rules: [
        { name: 'secret', when: { recipient: [SECRET] }, sign: 'require', encrypt: 'require' },
        { name: 'readable', when: { recipient: [READABLE] }, sign: 'require', encrypt: 'never' },
        { name: 'reports', sign: 'if-possible', encrypt: 'never' },
      ],
    },
    queue: { key: 'own', address: 'gateway@sealgate.test', server: { ...upstream, connections: 10 } },
    log: { level: 'warn' },
  };
  await writeFile(configFile, stringify(settings), { mode: 0o600 });
  const sink = new Restartable(
    'the mail server',
    [process.execPath, 'test/crash/sink-process.ts', String(sinkPort), kept],
    sinkPort,
  );
  const gateway = new Restartable(
    'the gateway',
    [process.execPath, '--max-semi-space-size=8', 'src/main.ts', 'serve', '--config', configFile],
    port,
  );
  await sink.start();
  await gateway.start();
  const again = async (one: Restartable): Promise<void> => {
    await one.kill();
    await one.start();
  };
  return {
    ...{ port, kept, caFile: pki.ca.certificateFile, secret },
    victims: [
      { name: gateway.name, hit: () => again(gateway) },
      { name: sink.name, hit: () => again(sink) },
      { name: 'a key process', hit: () => killedKeyProcess([gateway.pid]) },
    ],
    async waiting() {
      const database = new DatabaseSync(join(stateFolder, QUEUE), { readOnly: true, timeout: 5_000 });
      try {
        return Number(database.prepare('SELECT count(*) AS mails FROM delivery').get()?.mails);
      } finally {
        database.close();
      }
    },
    async hurry() {
      // What was tried while the mail server was away waits for minutes otherwise.
      await runToEnd(process.execPath, ['src/main.ts', 'queue', 'retry', '--all', '--config', configFile]);
    },
    async stop() {
      await gateway.stop();
      await sink.stop();
    },
  };
}

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../src/evaluation/free-port.ts';
import { runToEnd } from '../../src/evaluation/run-program.ts';
import { createThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { READABLE, SECRET, SENDER } from './numbered-mail.ts';
import { Restartable } from './restartable.ts';

const OWN = 'gateway@sealgate.test';

/** What every gateway under load has, in whatever setting: who sends and receives, the rules, and the mail server behind. */
export async function loadWorld(folder: string) {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const pki = await createThrowawayPki(join(folder, 'pki'));
  const [sender, secret, own] = await Promise.all([
    pki.issueUser({ address: SENDER }),
    pki.issueUser({ address: SECRET }),
    pki.issueUser({ address: OWN, keyType: 'p-256' }),
  ]);
  const [port, sinkPort] = [await freePort(), await freePort()];
  const kept = join(folder, 'kept.jsonl');
  return {
    /** Where the load goes. */
    ...{ port, kept, caFile: pki.ca.certificateFile, secret },
    server: { host: '127.0.0.1', port: sinkPort, tls: 'none' },
    queue: { key: 'own', address: OWN },
    settings: {
      hostname: 'gateway.sealgate.test',
      keys: [
        { name: 'load', kind: 'pem', certificate: sender.certificateFile, key: sender.keyFile },
        { name: 'own', kind: 'pem', certificate: own.certificateFile, key: own.keyFile },
      ],
      principals: { list: [{ login: SENDER, addresses: [SENDER], keys: ['load'] }] },
      trust: { anchors: [pki.ca.certificateFile] },
      policy: {
        rules: [
          { name: 'secret', when: { recipient: [SECRET] }, sign: 'require', encrypt: 'require' },
          { name: 'readable', when: { recipient: [READABLE] }, sign: 'require', encrypt: 'never' },
          { name: 'reports', sign: 'if-possible', encrypt: 'never' },
        ],
      },
      log: { level: 'warn' },
    },
    sink: new Restartable(
      'the mail server',
      [process.execPath, 'test/crash/sink-process.ts', String(sinkPort), kept],
      sinkPort,
    ),
  };
}

/** As in docker/compose.cluster.yaml: the mail server may be away just when the gateway starts. */
export function gatewayProcess(name: string, configFile: string, port: number): Restartable {
  const node = [process.execPath, '--max-semi-space-size=8'];
  const serve = ['src/main.ts', 'serve', '--no-upstream-check', '--config', configFile];
  return new Restartable(name, [...node, ...serve], port);
}

/** What was tried while the mail server was away waits for minutes otherwise. */
export async function retryAll(configFile: string): Promise<void> {
  await runToEnd(process.execPath, ['src/main.ts', 'queue', 'retry', '--all', '--config', configFile]);
}

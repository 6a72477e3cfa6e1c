import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { createThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { awaitListening, RECIPIENT, SENDER } from './load.ts';
import type { Lateness } from './loop-watch.ts';

export type LargeGateway = {
  port: number;
  pid: number;
  /** Of the processes that hold its keys. */
  keyProcesses(): Promise<number[]>;
  /** Since it was asked last. */
  lateness(): Promise<Lateness>;
  stop(): Promise<void>;
};

const HERE = fileURLToPath(new URL('../../../', import.meta.url));
const WATCH = fileURLToPath(new URL('./loop-watch.ts', import.meta.url));

/** The gateway as `npm start` runs it, for long mails to one recipient who can be encrypted to. */
export async function startLargeGateway(
  sink: number,
  { encrypt, maxMessageSize }: { encrypt: boolean; maxMessageSize: string },
): Promise<LargeGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-bench-'));
  const pki = await createThrowawayPki(join(folder, 'pki'));
  const identity = await pki.issueUser({ address: SENDER });
  const recipient = await pki.issueUser({ address: RECIPIENT });
  const pinned = join(folder, 'pinned');
  await mkdir(pinned);
  await writeFile(join(pinned, 'recipient.pem'), recipient.certificate);
  const port = await freePort();
  const config = join(folder, 'gateway.yaml');
  const upstream = { host: '127.0.0.1', port: sink, tls: 'none' };
  const listener = { name: 'bench', host: '127.0.0.1', port, tls: 'none', assumeLogin: SENDER, upstream };
  const encrypting = encrypt ? 'require' : 'never';
  await writeFile(
    config,
    stringify({
      hostname: 'gateway.sealgate.test',
      stateFolder: join(folder, 'state'),
      submission: [{ ...listener, maxMessageSize }],
      keys: [{ name: 'load', kind: 'pem', certificate: identity.certificateFile, key: identity.keyFile }],
      principals: { list: [{ login: SENDER, addresses: [SENDER], keys: ['load'] }] },
      directory: { pinned: [pinned] },
      trust: { anchors: [pki.ca.certificateFile] },
      policy: { rules: [{ name: 'bench', sign: 'require', encrypt: encrypting }] },
      log: { level: 'warn' },
    }),
    { mode: 0o600 },
  );
  const flags = (process.env.BENCH_GATEWAY_FLAGS ?? '').split(' ').filter((flag) => flag !== '');
  const own = ['--max-semi-space-size=8', '--import', WATCH, ...flags];
  const gateway = spawn(process.execPath, [...own, 'src/main.ts', 'serve', '--config', config], {
    cwd: HERE,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const gone = once(gateway, 'close');
  await awaitListening(port);
  const pid = gateway.pid ?? 0;
  return {
    port,
    pid,
    keyProcesses: () => childrenOf(pid),
    lateness: () => asked(gateway),
    async stop() {
      gateway.kill('SIGTERM');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function asked(gateway: ChildProcess): Promise<Lateness> {
  const answer = once(gateway, 'message');
  gateway.send('lateness');
  const [lateness] = (await answer) as [Lateness];
  return lateness;
}

async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'latin1').catch(() => '')),
  );
  return lists.flatMap((list) => list.split(' ').filter((one) => one !== '')).map(Number);
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { createThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import type { Contender } from '../benchmark.ts';
import { type Cores, onCores, otherCores } from './cores.ts';
import { awaitListening, mailsOf, relayRound, SENDER, startSink, WARM_UP_MAILS } from './load.ts';

export type GatewayOptions = {
  sign: boolean;
  /** The gateway and its key process have these, load and sink the others; null: all run where they like. */
  cores?: Cores | null;
  /** The folder with the program; default: this one. */
  tree?: string;
};

export type BenchGateway = { port: number; pid: number | null; stop(): Promise<void> };

const HERE = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * The gateway as `npm start` runs it, in a process of its own, with a listener that assumes a login: smtp-source has none. It logs
 * what goes wrong, as the relay next to it.
 */
export async function startGateway(
  sink: number,
  { sign, cores = null, tree = HERE }: GatewayOptions,
): Promise<BenchGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-bench-'));
  const pki = await createThrowawayPki(join(folder, 'pki'));
  const identity = await pki.issueUser({ address: SENDER });
  const port = await freePort();
  const config = join(folder, 'gateway.yaml');
  const upstream = { host: '127.0.0.1', port: sink, tls: 'none' };
  await writeFile(
    config,
    stringify({
      hostname: 'gateway.sealgate.test',
      stateFolder: join(folder, 'state'),
      submission: [{ name: 'bench', host: '127.0.0.1', port, tls: 'none', assumeLogin: SENDER, upstream }],
      keys: [{ name: 'load', kind: 'pem', certificate: identity.certificateFile, key: identity.keyFile }],
      principals: { list: [{ login: SENDER, addresses: [SENDER], keys: ['load'] }] },
      trust: { anchors: [pki.ca.certificateFile] },
      policy: { rules: [{ name: 'bench', sign: sign ? 'require' : 'never', encrypt: 'never' }] },
      log: { level: 'warn' },
    }),
    { mode: 0o600 },
  );
  // For a profile: BENCH_GATEWAY_FLAGS="--cpu-prof --cpu-prof-dir=/tmp/profiles" npm run bench -- relay
  const flags = (process.env.BENCH_GATEWAY_FLAGS ?? '').split(' ').filter((flag) => flag !== '');
  const own = ['--max-semi-space-size=8', ...flags, 'src/main.ts', 'serve', '--config', config];
  const gateway = spawn(...onCores(cores, process.execPath, own), { cwd: tree, stdio: 'inherit' });
  const gone = once(gateway, 'close');
  await awaitListening(port);
  return {
    port,
    pid: gateway.pid ?? null,
    async stop() {
      gateway.kill('SIGTERM');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function gatewayContender(options: GatewayOptions): Contender {
  const { sign, cores = null, tree } = options;
  const rest = cores === null ? null : otherCores(cores);
  return {
    name: `sealgate, ${sign ? 'signing' : 'passing on'}${tree === undefined ? '' : `, in ${tree}`}`,
    role: tree === undefined ? 'ours' : 'peer',
    async start() {
      const sink = await startSink(rest);
      const gateway = await startGateway(sink.port, options);
      await relayRound(gateway.port, sink, WARM_UP_MAILS, null, rest);
      return {
        run: (size) => relayRound(gateway.port, sink, mailsOf(size, 3_000, 20_000), gateway.pid, rest),
        async stop() {
          await gateway.stop();
          await sink.stop();
        },
      };
    },
  };
}

/** Another version of the gateway beside this one, for who changes something: BENCH_OTHER_TREE=/path/to/clone. */
export function otherGateways(options: GatewayOptions): Contender[] {
  const tree = process.env.BENCH_OTHER_TREE;
  return tree === undefined ? [] : [gatewayContender({ ...options, tree })];
}

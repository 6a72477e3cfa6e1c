import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { awaitListening } from '../relay/load.ts';
import type { Front, RunningFront } from './front.ts';
import { LOGIN, type MailServer, trusting } from './mail-server.ts';
import { READER } from './messages.ts';

export type GatewayOptions = {
  /** TLS on both legs, or on none. */
  tls: boolean;
  /** The folder with the program; default: this one. */
  tree?: string;
};

export type RunningGateway = RunningFront & {
  pid: number;
  /** Uses of the reader's key so far, by the audit lines. */
  keyOperations(): number;
  /** Has V8 collect all garbage at once, so that what is left is what is needed. */
  collectGarbage(): void;
};

export function isGateway(front: RunningFront): front is RunningGateway {
  return 'keyOperations' in front;
}

const HERE = fileURLToPath(new URL('../../../', import.meta.url));

/** The gateway as `npm start` runs it, in a process of its own; the reader has a key in a file. */
export async function startGateway(
  mailServer: MailServer,
  { tls, tree }: GatewayOptions,
): Promise<RunningGateway> {
  const { pki, server, reader, dovecot } = mailServer;
  const folder = await mkdtemp(join(mailServer.folder, 'gateway-'));
  const port = await freePort();
  const config = join(folder, 'gateway.yaml');
  const upstream = tls
    ? {
        ...{ host: '127.0.0.1', serverName: 'localhost', port: dovecot.imapsPort, tls: 'implicit' },
        ca: pki.ca.certificateFile,
      }
    : { host: '127.0.0.1', port: dovecot.imapPort, tls: 'none' };
  const listener = { name: 'bench', host: '127.0.0.1', port, tls: tls ? 'implicit' : 'none' };
  await writeFile(
    config,
    stringify({
      hostname: 'gateway.sealgate.test',
      stateFolder: join(folder, 'state'),
      ...(tls ? { tls: { certificate: server.certFile, key: server.keyFile } } : {}),
      imap: [{ ...listener, maxConnections: 5_000, upstream }],
      keys: [{ name: 'reader', kind: 'pem', certificate: reader.certificateFile, key: reader.keyFile }],
      principals: { list: [{ login: LOGIN.login, addresses: [READER], keys: ['reader'] }] },
      trust: { anchors: [pki.ca.certificateFile] },
      policy: { rules: [{ name: 'bench', sign: 'never', encrypt: 'never' }] },
      log: { level: 'info', format: 'json' },
    }),
    { mode: 0o600 },
  );
  // For a profile: BENCH_GATEWAY_FLAGS="--cpu-prof --cpu-prof-dir=/tmp/profiles" npm run bench -- imap
  const flags = (process.env.BENCH_GATEWAY_FLAGS ?? '').split(' ').filter((flag) => flag !== '');
  const collector = new URL('collect-garbage.ts', import.meta.url).href;
  const own = ['--max-semi-space-size=8', '--expose-gc', '--import', collector];
  const args = [...own, ...flags, 'src/main.ts', 'serve', '--config', config];
  const child = spawn(process.execPath, args, { cwd: tree ?? HERE, stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'close');
  let keyOperations = 0;
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    if (line.includes('key.used')) keyOperations++;
    else if (line.includes('gateway.defect')) console.error(line);
  });
  await awaitListening(port);
  const { pid } = child;
  if (pid === undefined) throw new Error('the gateway did not start');
  return {
    server: { port, tls: tls ? trusting(pki) : null },
    pid,
    keyOperations: () => keyOperations,
    collectGarbage: () => void child.kill('SIGUSR2'),
    async stop() {
      child.kill('SIGTERM');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function gatewayFront(name = 'sealgate'): Front {
  return { name, role: 'ours', start: (mailServer) => startGateway(mailServer, { tls: true }) };
}

/** Another version of the gateway beside this one, for who changes something: BENCH_OTHER_TREE=/path/to/clone. */
export function otherGateways(): Front[] {
  const tree = process.env.BENCH_OTHER_TREE;
  if (tree === undefined) return [];
  return [
    {
      name: `sealgate in ${tree}`,
      role: 'peer',
      start: (mailServer) => startGateway(mailServer, { tls: true, tree }),
    },
  ];
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { createThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import type { Contender } from '../benchmark.ts';
import { awaitListening, mailsOf, relayRound, SENDER, startSink } from './load.ts';

/** The gateway as `npm start` runs it, in a process of its own, with a listener that assumes a login (smtp-source has none). */
export function gatewayContender({ sign }: { sign: boolean }): Contender {
  return {
    name: sign ? 'sealgate, signing' : 'sealgate, passing on',
    role: 'ours',
    async start() {
      const folder = await mkdtemp(join(tmpdir(), 'sealgate-bench-'));
      const pki = await createThrowawayPki(join(folder, 'pki'));
      const identity = await pki.issueUser({ address: SENDER });
      const sink = await startSink();
      const port = await freePort();
      const config = join(folder, 'gateway.yaml');
      const upstream = { host: '127.0.0.1', port: sink.port, tls: 'none' };
      await writeFile(
        config,
        stringify({
          hostname: 'gateway.sealgate.test',
          stateFolder: join(folder, 'state'),
          submission: [
            { name: 'bench', host: '127.0.0.1', port, tls: 'none', assumeLogin: SENDER, upstream },
          ],
          keys: [{ name: 'load', kind: 'pem', certificate: identity.certificateFile, key: identity.keyFile }],
          principals: { list: [{ login: SENDER, addresses: [SENDER], keys: ['load'] }] },
          trust: { anchors: [pki.ca.certificateFile] },
          policy: { rules: [{ name: 'bench', sign: sign ? 'require' : 'never', encrypt: 'never' }] },
          log: { level: 'warn' },
        }),
        { mode: 0o600 },
      );
      const gateway = spawn(
        process.execPath,
        ['--max-semi-space-size=8', 'src/main.ts', 'serve', '--config', config],
        {
          stdio: 'inherit',
        },
      );
      const gone = once(gateway, 'close');
      await awaitListening(port);
      return {
        run: (size) => relayRound(port, sink, mailsOf(size, 3_000, 20_000), gateway.pid ?? null),
        async stop() {
          gateway.kill('SIGTERM');
          await gone;
          await sink.stop();
          await rm(folder, { recursive: true, force: true });
        },
      };
    },
  };
}

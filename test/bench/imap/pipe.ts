import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { awaitListening } from '../relay/load.ts';
import type { Front } from './front.ts';
import { trusting } from './mail-server.ts';

/** What a proxy in Node costs that looks at nothing: TLS on both legs. */
export const PIPE: Front = {
  name: 'TLS pipe in Node',
  role: 'limit',
  async start({ dovecot, server, pki }) {
    const port = await freePort();
    const program = fileURLToPath(new URL('pipe-process.ts', import.meta.url));
    const args = [port, dovecot.imapsPort, server.certFile, server.keyFile, pki.ca.certificateFile].map(
      String,
    );
    const child = spawn(process.execPath, [program, ...args], { stdio: 'inherit' });
    const gone = once(child, 'close');
    await awaitListening(port);
    return {
      server: { port, tls: trusting(pki) },
      pid: child.pid ?? null,
      async stop() {
        child.kill('SIGTERM');
        await gone;
      },
    };
  },
};

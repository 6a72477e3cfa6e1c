import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../src/evaluation/free-port.ts';
import type { Contender } from '../benchmark.ts';
import { awaitListening, mailsOf, relayRound, startSink, WARM_UP_MAILS } from './load.ts';

export function nodemailerContender(): Contender {
  return {
    name: 'smtp-server + nodemailer',
    role: 'peer',
    async start() {
      const sink = await startSink();
      const port = await freePort();
      const program = fileURLToPath(new URL('nodemailer-relay.ts', import.meta.url));
      const relay = spawn(process.execPath, [program, String(port), String(sink.port)], { stdio: 'inherit' });
      const gone = once(relay, 'close');
      await awaitListening(port);
      await relayRound(port, sink, WARM_UP_MAILS, null);
      return {
        run: (size) => relayRound(port, sink, mailsOf(size, 2_000, 10_000), relay.pid ?? null),
        async stop() {
          relay.kill('SIGTERM');
          await gone;
          await sink.stop();
        },
      };
    },
  };
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { awaitListening } from './load.ts';

const PROGRAM = fileURLToPath(new URL('./large-sink-program.ts', import.meta.url));

/** Takes and forgets every mail, however large, in a process of its own. */
export async function startLargeSink(): Promise<{ port: number; stop(): Promise<void> }> {
  const port = await freePort();
  const sink = spawn(process.execPath, [PROGRAM, String(port)], { stdio: ['ignore', 'inherit', 'inherit'] });
  const gone = once(sink, 'close');
  await awaitListening(port);
  return {
    port,
    async stop() {
      sink.kill();
      await gone;
    },
  };
}

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ClientAnswer, ClientReport, ClientTask } from './client-process.ts';

/** The mail client, in a process of its own, the same for every contender. */
export type BenchClient = { perform(task: ClientTask): Promise<ClientReport>; stop(): Promise<void> };

export function startClient(): BenchClient {
  const child = fork(fileURLToPath(new URL('client-process.ts', import.meta.url)), {
    // Its own flags: the benchmark's are not the client's.
    execArgv: [],
  });
  const gone = once(child, 'exit');
  return {
    async perform(task) {
      child.send(task);
      const [answer] = (await Promise.race([
        once(child, 'message'),
        gone.then(() => [{ kind: 'failed', reason: 'the client process ended' }]),
      ])) as [ClientAnswer];
      if (answer.kind === 'failed') throw new Error(answer.reason);
      return answer.report;
    },
    async stop() {
      child.disconnect();
      await gone;
    },
  };
}

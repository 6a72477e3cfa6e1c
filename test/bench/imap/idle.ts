import type { Benchmark, Contender, RoundSize, Sample } from '../benchmark.ts';
import { treeCpuSeconds } from '../process-tree.ts';
import { startClient } from './client.ts';
import { type RunningGateway, startGateway } from './gateway.ts';
import { LOGIN, type SharedMailServer, sharedMailServer } from './mail-server.ts';
import { plainMessage } from './messages.ts';
import { residentMemory } from './resident-memory.ts';

const BOX = 'Idle';
const CONNECTIONS = { quick: 200, full: 1_000 };
/** After which memory is taken for what it stays. */
const SETTLES_MS = 2_000;

/** Logged in, mailbox selected, IDLE; then the memory of the gateway's own process, garbage collected. */
export function imapIdle(): Benchmark {
  const mailServer = sharedMailServer();
  return {
    name: 'imap-idle',
    unit: 'connection',
    about:
      '1,000 connections in IDLE (--quick: 200), opened 20 at a time; resident memory of the gateway for each',
    rounds: 3,
    contenders: [contender(mailServer, false), contender(mailServer, true)],
  };
}

function contender(shared: SharedMailServer, tls: boolean): Contender {
  return {
    name: tls ? 'sealgate, TLS on both legs' : 'sealgate, without TLS',
    role: 'ours',
    async start() {
      const mailServer = await shared.take();
      await mailServer.mailbox(BOX, () => [plainMessage(1, 2_048)]);
      return {
        run: async (size: RoundSize) => {
          const gateway = await startGateway(mailServer, { tls });
          try {
            return await idleRound(gateway, CONNECTIONS[size]);
          } finally {
            await gateway.stop();
          }
        },
        stop: () => shared.leave(),
      };
    },
  };
}

/** In a gateway of its own, whose memory nothing has stretched before. */
async function idleRound(gateway: RunningGateway, connections: number): Promise<Sample> {
  const client = startClient();
  try {
    const open = {
      do: 'open',
      server: gateway.server,
      login: LOGIN,
      mailbox: BOX,
      octetsASecond: null,
    } as const;
    // What is loaded and compiled at the first connections is not counted.
    await client.perform({ ...open, connections: 50 });
    await client.perform({ do: 'idle' });
    await client.perform({ do: 'close' });
    const before = await settled(gateway);
    const cpuBefore = await treeCpuSeconds(gateway.pid);
    const { seconds } = await client.perform({ ...open, connections });
    await client.perform({ do: 'idle' });
    const cpuSeconds = (await treeCpuSeconds(gateway.pid)) - cpuBefore;
    const grown = (await settled(gateway)) - before;
    await client.perform({ do: 'close' });
    return {
      units: connections,
      seconds,
      cpuSeconds,
      figures: { 'KB for each': grown / connections / 1000 },
    };
  } finally {
    await client.stop();
  }
}

async function settled(gateway: RunningGateway): Promise<number> {
  gateway.collectGarbage();
  await new Promise((resolve) => setTimeout(resolve, SETTLES_MS));
  return (await residentMemory(gateway.pid)).now;
}

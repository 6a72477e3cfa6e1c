import type { Benchmark, Contender, RoundSize, Sample } from '../benchmark.ts';
import { forgetPeak, residentMemory } from '../imap/resident-memory.ts';
import { treeCpuSeconds } from '../process-tree.ts';
import { LargeClient, LargeMail } from './large-client.ts';
import { type LargeGateway, startLargeGateway } from './large-gateway.ts';
import { startLargeSink } from './large-sink.ts';

/**
 * Long mails, many at once, through a gateway of their own: how much memory it needs beyond what it needs anyway, how late its event loop
 * is, and how long others wait for a short mail meanwhile.
 */
export function relayLarge(): Benchmark {
  return {
    name: 'relay-large',
    unit: 'mail',
    about:
      '100 MB mails, 50 at once (quick: 20 MB, 20 at once), beside them short ones on a connection of their own',
    contenders: [
      largeContender('sealgate, signing', false),
      largeContender('sealgate, signing and encrypting', true),
    ],
    rounds: 3,
  };
}

const MEGABYTE = 1_000_000;
const SHORT = new LargeMail(10_000);
const PAUSE_MS = 20;

function largeContender(name: string, encrypt: boolean): Contender {
  return {
    name,
    role: 'ours',
    async start() {
      const sink = await startLargeSink();
      const gateway = await startLargeGateway(sink.port, { encrypt, maxMessageSize: '128 MiB' });
      const stop = async () => {
        await gateway.stop();
        await sink.stop();
      };
      try {
        await refusesBySize(gateway);
        await warmUp(gateway);
      } catch (error) {
        await stop();
        throw error;
      }
      return { run: (size) => round(gateway, size), stop };
    },
  };
}

async function refusesBySize({ port }: LargeGateway): Promise<void> {
  const client = await LargeClient.connect(port);
  await client.command(`MAIL FROM:<> SIZE=${2 ** 30}`, 552);
  client.close();
}

async function warmUp({ port }: LargeGateway): Promise<void> {
  const client = await LargeClient.connect(port);
  for (let mail = 0; mail < 300; mail++) await client.send(SHORT);
  await client.send(new LargeMail(2 * MEGABYTE));
  client.close();
}

async function round(gateway: LargeGateway, size: RoundSize): Promise<Sample> {
  const [mails, octets] = size === 'quick' ? [20, 20 * MEGABYTE] : [50, 100 * MEGABYTE];
  const { pid, port } = gateway;
  const keys = await gateway.keyProcesses();
  const before = await Promise.all([pid, ...keys].map(residentMemory));
  await Promise.all([pid, ...keys].map(forgetPeak));
  await gateway.lateness();
  const cpuBefore = await treeCpuSeconds(pid);
  const clients = await Promise.all(Array.from({ length: mails }, () => LargeClient.connect(port)));
  const beside = new Beside(await LargeClient.connect(port));
  const begun = performance.now();
  const mail = new LargeMail(octets);
  await Promise.all(clients.map((client) => client.send(mail)));
  const seconds = (performance.now() - begun) / 1000;
  const waits = await beside.stop();
  const after = await Promise.all([pid, ...keys].map(residentMemory));
  const lateness = await gateway.lateness();
  for (const client of clients) client.close();
  const grown = after.map(({ peak }, index) => Math.max(0, peak - (before[index]?.now ?? 0)));
  return {
    units: mails,
    seconds,
    cpuSeconds: (await treeCpuSeconds(pid)) - cpuBefore,
    memoryGrowth: grown[0] ?? 0,
    worst: {
      'event loop late (ms)': lateness.worst,
      'event loop held in one go (ms of processor time)': lateness.held,
      'a short mail beside it (ms)': waits.at(-1) ?? 0,
      'key processes grew by (MB)': grown.slice(1).reduce((sum, one) => sum + one, 0) / MEGABYTE,
    },
    figures: {
      'MB/s': (mails * octets) / MEGABYTE / seconds,
      'event loop late, 99 % (ms)': lateness.p99,
      'a short mail beside it, median (ms)': waits[Math.floor(waits.length / 2)] ?? 0,
    },
  };
}

/** Sends short mails, one after the other, while others send long ones. */
class Beside {
  readonly #client: LargeClient;
  readonly #waits: number[] = [];
  readonly #done: Promise<void>;
  #going = true;

  constructor(client: LargeClient) {
    this.#client = client;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    while (this.#going) {
      this.#waits.push(await this.#client.send(SHORT));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** Milliseconds from the end of data to its reply, sorted. */
  async stop(): Promise<number[]> {
    this.#going = false;
    await this.#done;
    this.#client.close();
    return this.#waits.sort((one, other) => one - other);
  }
}

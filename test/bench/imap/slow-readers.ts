import type { Benchmark, RoundSize, Sample } from '../benchmark.ts';
import { treeCpuSeconds } from '../process-tree.ts';
import { startClient } from './client.ts';
import { startGateway } from './gateway.ts';
import { LOGIN, sharedMailServer } from './mail-server.ts';
import { encryptedMessage } from './messages.ts';
import { forgetPeak, residentMemory } from './resident-memory.ts';

type Readers = { mailbox: string; readers: number; octets: number; octetsASecond: number };

/** `octets`: of the stored message. */
const READERS: Record<RoundSize, Readers> = {
  quick: { mailbox: 'Quick', readers: 10, octets: 10_000_000, octetsASecond: 4_000_000 },
  full: { mailbox: 'Full', readers: 100, octets: 50_000_000, octetsASecond: 500_000 },
};

/**
 * Each reads an encrypted message of its own, all at a time, each slower than the gateway could; the message is read to its
 * end. Without TLS towards the clients, so that they are cheap.
 */
export function imapSlowReaders(): Benchmark {
  const shared = sharedMailServer();
  return {
    name: 'imap-slow-readers',
    unit: 'message',
    about:
      '100 clients that take 0.5 MB a second of an encrypted message of 50 MB each (--quick: 10, 4 MB a second, 10 MB): the most memory that the gateway had',
    rounds: 1,
    contenders: [
      {
        name: 'sealgate',
        role: 'ours',
        async start() {
          const mailServer = await shared.take();
          const gateway = await startGateway(mailServer, { tls: false });
          const client = startClient();
          return {
            async run(size): Promise<Sample> {
              const { mailbox, readers, octets, octetsASecond } = READERS[size];
              await mailServer.mailbox(mailbox, ({ certificate }) => large(readers, octets, certificate));
              const { server, pid } = gateway;
              await client.perform({
                ...{ do: 'open', server, login: LOGIN, mailbox },
                ...{ connections: readers, octetsASecond },
              });
              const commands = Array.from({ length: readers }, (_, i) => `UID FETCH ${i + 1} (BODY.PEEK[])`);
              await forgetPeak(pid);
              const before = await treeCpuSeconds(pid);
              const { seconds } = await client.perform({ do: 'read', commands, octets: readers * octets });
              const cpuSeconds = (await treeCpuSeconds(pid)) - before;
              const { peak } = await residentMemory(pid);
              await client.perform({ do: 'close' });
              const figures = { 'resident memory at most, MB': peak / 1e6 };
              return { units: readers, seconds, cpuSeconds, figures };
            },
            async stop() {
              await client.stop();
              await gateway.stop();
              await shared.leave();
            },
          };
        },
      },
    ],
  };
}

/** One encryption, and a header of its own for each: nobody can take one for another. */
async function* large(count: number, octets: number, certificate: string): AsyncIterable<Buffer> {
  // Base64 of what is inside, in lines of 76, is what is stored.
  const message = await encryptedMessage(1, Math.ceil((octets * 3 * 76) / (4 * 78)), certificate);
  for (let n = 1; n <= count; n++) yield Buffer.concat([Buffer.from(`X-Number: ${n}\r\n`), message]);
}

import type { Benchmark, Contender, RoundSize, Sample } from '../benchmark.ts';
import { treeCpuSeconds } from '../process-tree.ts';
import { spread } from '../summary.ts';
import { startClient } from './client.ts';
import { DIRECT, type Front } from './front.ts';
import { gatewayFront, isGateway, otherGateways } from './gateway.ts';
import { LOGIN, type SharedMailServer, sharedMailServer } from './mail-server.ts';
import { encryptedMessage } from './messages.ts';

const BOX = 'Encrypted';
const MESSAGES = 3_000;
/** So many that the stored message has some 10 KB. */
const OCTETS = 7_000;
const OPENED = { quick: 100, full: 300 };

/** Messages that nobody has opened before, one after another; the list was fetched before. */
export function imapOpenEncrypted(): Benchmark {
  const mailServer = sharedMailServer();
  const fronts = [gatewayFront(), ...otherGateways(), DIRECT];
  return {
    name: 'imap-open-encrypted',
    unit: 'message',
    about:
      'encrypted messages of 10 KB (RSA-2048, AES-256-CBC) opened one after another, each for the first time, with a key from a file; TLS on both legs',
    contenders: fronts.map((front) => contender(front, mailServer)),
  };
}

async function* messages(certificate: string): AsyncIterable<Buffer> {
  for (let n = 1; n <= MESSAGES; n++) yield await encryptedMessage(n, OCTETS, certificate);
}

function contender(front: Front, shared: SharedMailServer): Contender {
  return {
    name: front.name,
    role: front.role,
    async start() {
      const mailServer = await shared.take();
      await mailServer.mailbox(BOX, (reader) => messages(reader.certificate));
      const running = await front.start(mailServer);
      const client = startClient();
      const { server, pid } = running;
      await client.perform({
        ...{ do: 'open', server, login: LOGIN, mailbox: BOX },
        ...{ connections: 1, octetsASecond: null },
      });
      let next = 0;
      return {
        async run(size: RoundSize): Promise<Sample> {
          const operations = isGateway(running) ? running.keyOperations() : 0;
          const before = pid === null ? 0 : await treeCpuSeconds(pid);
          const commands = Array.from(
            { length: OPENED[size] },
            () => `UID FETCH ${(next++ % MESSAGES) + 1} (UID RFC822.SIZE BODY.PEEK[])`,
          );
          const { seconds, milliseconds } = await client.perform({ do: 'commands', commands });
          const cpuSeconds = pid === null ? null : (await treeCpuSeconds(pid)) - before;
          if (isGateway(running) && running.keyOperations() - operations < commands.length)
            throw new Error('some of these messages had been opened before');
          const figures = { 'median, ms': spread(milliseconds).median };
          return { units: commands.length, seconds, cpuSeconds, figures };
        },
        async stop() {
          await client.stop();
          await running.stop();
          await shared.leave();
        },
      };
    },
  };
}

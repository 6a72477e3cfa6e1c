import type { Benchmark, Contender, RoundSize, Sample } from '../benchmark.ts';
import { treeCpuSeconds } from '../process-tree.ts';
import { startClient } from './client.ts';
import { DIRECT, type Front } from './front.ts';
import { gatewayFront, isGateway, otherGateways } from './gateway.ts';
import { LOGIN, type SharedMailServer, sharedMailServer } from './mail-server.ts';
import { encryptedMessage, plainMessage } from './messages.ts';
import { PIPE } from './pipe.ts';
import { LIST_ITEMS } from './thunderbird.ts';

const SIZES = { quick: { mailbox: 'Quick', messages: 10_000 }, full: { mailbox: 'Full', messages: 100_000 } };
/** Every twentieth message is encrypted. */
const ENCRYPTED = 20;
const OCTETS = 2_048;

/** A client that has nothing yet lists a whole mailbox: in one command, on a connection of its own. */
export function imapListing100k(): Benchmark {
  const mailServer = sharedMailServer();
  const fronts = [gatewayFront(), ...otherGateways(), DIRECT, PIPE];
  return {
    name: 'imap-listing-100k',
    unit: 'message',
    about:
      "Thunderbird's listing of a mailbox of 100,000 messages of which 5,000 are encrypted (--quick: 10,000 and 500), TLS on both legs",
    contenders: fronts.map((front) => contender(front, mailServer)),
  };
}

async function* listed(messages: number, certificate: string): AsyncIterable<Buffer> {
  for (let n = 1; n <= messages; n++) {
    yield n % ENCRYPTED === 0 ? await encryptedMessage(n, OCTETS, certificate) : plainMessage(n, OCTETS);
  }
}

function contender(front: Front, shared: SharedMailServer): Contender {
  return {
    name: front.name,
    role: front.role,
    async start() {
      const mailServer = await shared.take();
      const running = await front.start(mailServer);
      const client = startClient();
      return {
        async run(size: RoundSize): Promise<Sample> {
          const { mailbox, messages } = SIZES[size];
          await mailServer.mailbox(mailbox, (reader) => listed(messages, reader.certificate));
          const operations = isGateway(running) ? running.keyOperations() : 0;
          await client.perform({
            ...{ do: 'open', server: running.server, login: LOGIN, mailbox },
            ...{ connections: 1, octetsASecond: null },
          });
          const { pid } = running;
          const before = pid === null ? 0 : await treeCpuSeconds(pid);
          const commands = [`UID FETCH 1:* ${LIST_ITEMS}`];
          const { seconds, untagged } = await client.perform({ do: 'commands', commands });
          const cpuSeconds = pid === null ? null : (await treeCpuSeconds(pid)) - before;
          await client.perform({ do: 'close' });
          if (untagged < messages) throw new Error(`${untagged} responses for ${messages} messages`);
          const sample = { units: messages, seconds, cpuSeconds };
          if (!isGateway(running)) return sample;
          return { ...sample, worst: { 'key operations': running.keyOperations() - operations } };
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

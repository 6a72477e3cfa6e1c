import type { Benchmark, Contender, RoundSize, Sample } from '../benchmark.ts';
import { treeCpuSeconds } from '../process-tree.ts';
import { startClient } from './client.ts';
import { DIRECT, type Front } from './front.ts';
import { gatewayFront, otherGateways } from './gateway.ts';
import { IMAPPROXY } from './imapproxy.ts';
import { LOGIN, type SharedMailServer, sharedMailServer } from './mail-server.ts';
import { plainMessage } from './messages.ts';
import { NGINX } from './nginx.ts';
import { PERDITION } from './perdition.ts';
import { PIPE } from './pipe.ts';
import { LIST_ITEMS } from './thunderbird.ts';

/** What is fetched: rounds of commands on one connection, and how many messages one of them brings. */
type Traffic = {
  messages: number;
  octets: number;
  /** One round: the commands, for so many messages. */
  commands(count: number): string[];
  quick: number;
  full: number;
  /** The peers' share of a round: they take many times as long. */
  peers: number;
};

const BOX = 'Traffic';
const ABOUT = 'messages that are not S/MIME, one connection, TLS on both legs';

export function imapBulkListing(): Benchmark {
  return traffic('imap-bulk-listing', `Thunderbird's listing of 5,000 messages at a time; ${ABOUT}`, {
    messages: 5_000,
    octets: 2_048,
    commands: (count) => whole(count, 5_000, LIST_ITEMS),
    quick: 50_000,
    full: 250_000,
    peers: 0.2,
  });
}

export function imapBulkBodies(): Benchmark {
  return traffic('imap-bulk-bodies', `2,000 whole messages of 40 KB at a time; ${ABOUT}`, {
    messages: 2_000,
    octets: 40_960,
    commands: (count) => whole(count, 2_000, '(UID RFC822.SIZE BODY.PEEK[])'),
    quick: 6_000,
    full: 24_000,
    peers: 0.25,
  });
}

export function imapSingleFetches(): Benchmark {
  return traffic(
    'imap-single-fetches',
    `one message of 2 KB after another, each asked for when the one before is there; ${ABOUT}`,
    {
      messages: 5_000,
      octets: 2_048,
      commands: (count) =>
        Array.from({ length: count }, (_, i) => `UID FETCH ${(i % 5_000) + 1} (UID RFC822.SIZE BODY.PEEK[])`),
      quick: 4_000,
      full: 20_000,
      peers: 0.01,
    },
  );
}

/** All messages of the mailbox, again and again. */
function whole(count: number, messages: number, items: string): string[] {
  return Array<string>(Math.max(1, Math.round(count / messages))).fill(`UID FETCH 1:* ${items}`);
}

function traffic(name: string, about: string, kind: Traffic): Benchmark {
  const mailServer = sharedMailServer();
  const fronts = [gatewayFront(), ...otherGateways(), DIRECT, PIPE, NGINX, PERDITION, IMAPPROXY];
  const contenders = fronts.map((front) => contender(front, mailServer, kind));
  return { name, unit: 'message', about, contenders };
}

function* messages({ messages, octets }: Traffic): Iterable<Buffer> {
  for (let n = 1; n <= messages; n++) yield plainMessage(n, octets);
}

function contender(front: Front, shared: SharedMailServer, kind: Traffic): Contender {
  const slow = front.role === 'peer' && !front.name.startsWith('sealgate');
  return {
    name: front.name,
    role: front.role,
    async start() {
      const mailServer = await shared.take();
      await mailServer.mailbox(BOX, () => messages(kind));
      const running = await front.start(mailServer);
      const client = startClient();
      const { server } = running;
      await client.perform({
        ...{ do: 'open', server, login: LOGIN, mailbox: BOX },
        ...{ connections: 1, octetsASecond: null },
      });
      return {
        async run(size: RoundSize): Promise<Sample> {
          const units = Math.max(20, kind[size] * (slow ? kind.peers : 1));
          const commands = kind.commands(units);
          const { pid } = running;
          const before = pid === null ? 0 : await treeCpuSeconds(pid);
          const { seconds, untagged } = await client.perform({ do: 'commands', commands });
          const cpuSeconds = pid === null ? null : (await treeCpuSeconds(pid)) - before;
          return { units: untagged, seconds, cpuSeconds };
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

import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { TestClient } from './support/client.ts';
import { beside, defects, endAll, nothingIsLeft } from './support/ends.ts';
import { gatewayOf, KINDS, type Kind, type KindGateway, logsIn, prelude } from './support/kinds.ts';

/** However octets come from either side, and whatever has been dealt with in between: the same is said, heard and handed over. */

let gateway: KindGateway | null = null;
let between: Server | null = null;
let sockets: Socket[] = [];
afterEach(async () => {
  await endAll(gateway);
  gateway = null;
  for (const socket of sockets) socket.destroy();
  sockets = [];
  await new Promise((resolve) => (between === null ? resolve(null) : between.close(resolve)));
  between = null;
});

const session = (kind: Kind): Buffer => {
  const [greeting = '', auth = ''] = prelude(kind);
  const login = logsIn(kind) ? ['AUTH LOGIN', '*', 'AUTH PLAIN', '=', 'AUTH NONE', auth] : ['AUTH PLAIN'];
  return Buffer.from(
    [
      'RCPT TO:<early@example.net>',
      ...[greeting, ...login, 'NOOP', 'MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.net>'],
      ...['RCPT TO:<no@example.net>', 'RCPT TO:broken', 'RCPT TO:<c@example.net>', 'DATA'],
      ...['Subject: x', '', '..dot', '.x', 'QUIT', '.'],
      ...['MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.net>', 'RSET', 'RCPT TO:<c@example.net>'],
      ...['MAIL FROM:<no@example.org>', 'DATA'],
      ...['MAIL FROM:<a@example.org>', 'MAIL FROM:<b@example.org>', 'RCPT TO:<d@example.net>', 'DATA'],
      ...['bare\n.\r', '.'],
      ...['MAIL FROM:<a@example.org>', 'RCPT TO:<d@example.net>', 'RCPT TO:<e@example.net>', 'BDAT 9'],
      ...['QUIT', 'a', 'BDAT 3', 'b', 'RCPT TO:<late@example.net>', 'BDAT 0 LAST'],
      ...[
        'MAIL FROM:<a@example.org>',
        'RCPT TO:<d@example.net>',
        'BDAT 4',
        'a\n',
        'BDAT 3 LAST',
        'b',
        'VRFY x',
      ],
      ...[greeting, 'MAIL FROM:<a@example.org>', 'RCPT TO:<f@example.net>', 'DATA', '.', 'QUIT', 'NOOP', ''],
    ].join('\r\n'),
  );
};

type Played = { said: string; heard: string; accepted: string[] };

/** Between gateway and mail server: each octet in a packet of its own, both ways. */
async function octetByOctet(target: () => number): Promise<number> {
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port: target(), host: '127.0.0.1', noDelay: true });
    sockets.push(near, far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      let written = Promise.resolve();
      from.on('error', () => to.destroy());
      from.on('data', (chunk: Buffer) => {
        written = written.then(async () => {
          for (const octet of chunk) {
            to.write(Buffer.of(octet));
            await new Promise((resolve) => setImmediate(resolve));
          }
        });
      });
      from.on('end', () => void written.then(() => to.end()));
    }
  });
  between = server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

type How = (client: TestClient, octets: Buffer, other: TestClient) => Promise<void>;

async function play(kind: Kind, how: How, { slowServer = false } = {}): Promise<Played> {
  let target = 0;
  const port = slowServer ? await octetByOctet(() => target) : null;
  const login = { messages: 100, recipients: null, minutes: 60, atOnce: 1 };
  const running = await gatewayOf(
    kind,
    {
      script: {
        'RCPT TO:<NO@': '550 5.1.1 nobody\r\n',
        'MAIL FROM:<NO@': '550-5.7.1 not\r\n550 5.7.1 you\r\n',
      },
    },
    {
      sendingBounds: { address: null, network: null, login },
      ...(port === null ? {} : { upstream: { host: '127.0.0.1', port, tls: 'none' } }),
    },
  );
  gateway = running;
  target = running.upstream.port;
  const other = await beside(running);
  const client = new TestClient(connect({ port: running.port, host: '127.0.0.1', noDelay: true }));
  await how(client, session(kind), other);
  const said = (await client.toEnd()).join('\r\n');
  other.end();
  await nothingIsLeft(running);
  const { commands, accepted } = running.upstream;
  await running.upstream.close();
  return {
    said: said.replace(/\[[0-9a-z]{20}\]/g, '[id]'),
    heard: commands.join('\n'),
    accepted: [
      ...accepted.map(({ from, to, octets }) => [from, ...to, octets.toString('latin1')].join('\n')),
      `${running.held.committed} in the queue, ${defects(running).length} defects`,
    ],
  };
}

const dealtWith = async (other: TestClient) => {
  for (let i = 0; i < 2; i++) await other.ask('VRFY x');
};

/** Each of these before the next one comes. */
const WAYS: Readonly<Record<string, How>> = {
  'octet by octet': async (client, octets) => {
    for (const octet of octets) {
      client.send(Buffer.of(octet));
      await new Promise((resolve) => setImmediate(resolve));
    }
  },
  'octet by octet, each dealt with before the next': async (client, octets, other) => {
    for (const octet of octets) {
      client.send(Buffer.of(octet));
      await dealtWith(other);
    }
  },
  'line by line': async (client, octets, other) => {
    for (const line of octets.toString('latin1').split(/(?<=\n)/)) {
      client.send(line);
      await dealtWith(other);
    }
  },
  'cut between CR and LF': async (client, octets, other) => {
    for (const part of octets.toString('latin1').split(/(?<=\r)/)) {
      client.send(part);
      await dealtWith(other);
    }
  },
  'cut in the middle of each line': async (client, octets, other) => {
    for (const part of octets.toString('latin1').split(/(?<=^..)/m)) {
      client.send(part);
      await dealtWith(other);
    }
  },
};
const atOnce: How = async (client, octets) => client.send(octets);

describe.each(KINDS)('%s', (kind) => {
  test('a session says and does the same', async () => {
    const whole = await play(kind, atOnce);
    expect(whole.said).toMatch(/221 2\.0\.0 Goodbye$/);
    expect(whole.accepted.at(-1)).toBe(`${kind === 'queue' ? 3 : 0} in the queue, 0 defects`);
    for (const [way, how] of Object.entries(WAYS)) {
      await endAll(gateway);
      expect({ way, ...(await play(kind, how)) }).toEqual({ way, ...whole });
    }
    for (const [way, how] of [['at once', atOnce], ...Object.entries(WAYS).slice(0, 1)] as const) {
      await endAll(gateway);
      expect({ way, ...(await play(kind, how, { slowServer: true })) }).toEqual({ way, ...whole });
    }
  });
});

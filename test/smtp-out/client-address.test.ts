import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { afterAll, afterEach, expect, test } from 'vitest';
import { type MailServerOptions, prepareMailServer } from '../../src/connections/mail-server.ts';
import { connectUpstream } from '../../src/smtp-out/connect.ts';
import { type FakeUpstream, fakeUpstream, KEYWORDS } from '../smtp-in/support/fake-upstream.ts';
import { certificateFor } from '../support/certificate.ts';

const material = certificateFor('localhost');
let fake: FakeUpstream | null = null;
afterAll(() => material.remove());
afterEach(async () => {
  await fake?.close();
  fake = null;
});

const four = {
  source: { address: '192.0.2.7', port: 40_001 },
  destination: { address: '198.51.100.9', port: 587 },
};
const six = { ...four, source: { address: '2001:db8::7', port: 40_001 } };

/** The commands that a server with these keywords hears. */
async function commands(
  keywords: readonly string[],
  from: typeof four | null,
  options: Partial<MailServerOptions> = { tellClientAddress: true },
): Promise<string[]> {
  fake = await fakeUpstream({ keywords, script: { XCLIENT: '220 upstream.test ESMTP\r\n' } });
  const target = await prepareMailServer({ host: '127.0.0.1', port: fake.port, tls: 'none', ...options });
  const client = await connectUpstream(target, 'gateway.test', from);
  client.quit();
  return fake.commands.filter((command) => command !== 'QUIT');
}

test.each([
  ['IPv4', ['XCLIENT NAME ADDR PORT'], four, 'XCLIENT ADDR=192.0.2.7 PORT=40001'],
  ['IPv6', ['XCLIENT ADDR'], six, 'XCLIENT ADDR=IPV6:2001:db8::7'],
])(
  'XCLIENT tells a server that trusts us the address, %s, and everything begins anew',
  async (_what, offered, from, told) => {
    expect(await commands([...KEYWORDS, ...offered], from)).toEqual([
      'EHLO gateway.test',
      told,
      'EHLO gateway.test',
    ]);
  },
);

test.each([
  ['a server that does not offer it', KEYWORDS, four, { tellClientAddress: true }],
  ['a server that takes no address', [...KEYWORDS, 'XCLIENT NAME HELO'], four, { tellClientAddress: true }],
  ['a connection of our own', [...KEYWORDS, 'XCLIENT ADDR'], null, { tellClientAddress: true }],
  [
    'an address that is none',
    [...KEYWORDS, 'XCLIENT ADDR'],
    { ...four, source: { address: 'x', port: 0 } },
    { tellClientAddress: true },
  ],
  ['a server that is not to be told', [...KEYWORDS, 'XCLIENT ADDR'], four, {}],
])('%s is not told', async (_what, keywords, from, options) => {
  expect(await commands(keywords, from, options)).toEqual(['EHLO gateway.test']);
});

test.each<[MailServerOptions['tls'], 'v1' | 'v2']>([
  ['none', 'v1'],
  ['implicit', 'v2'],
])('a PROXY header comes before everything, tls %s', async (tls, proxyProtocol) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const target = await prepareMailServer({
    ...{ host: '127.0.0.1', port, tls, proxyProtocol },
    ...(tls === 'none' ? {} : { serverName: 'localhost', caFile: material.file }),
  });
  const connecting = connectUpstream(target, 'gateway.test', four);
  const [socket] = (await once(server, 'connection')) as [Socket];
  await once(socket, 'readable');
  const header = (socket.read() as Buffer).toString('latin1');
  if (proxyProtocol === 'v1') expect(header).toBe('PROXY TCP4 192.0.2.7 198.51.100.9 40001 587\r\n');
  else expect(header.slice(0, 16)).toBe('\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c');
  // What came with it is TLS already.
  if (header.length > 28 && tls === 'implicit') socket.unshift(Buffer.from(header.slice(28), 'latin1'));
  const secureContext = createSecureContext({ cert: material.cert, key: material.key });
  const line = tls === 'none' ? socket : new TLSSocket(socket, { isServer: true, secureContext });
  line.write('220 hello\r\n');
  line.on('data', () => line.write('250 upstream.test\r\n'));
  (await connecting).abandon();
  server.close();
});

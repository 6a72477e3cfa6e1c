import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { loggedIn, QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const ENVELOPE = 'MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n';
const FAREWELL = '421 4.3.2 The gateway is shutting down; try again later';

test('a message that is handed over for a client that has gone is waited for, and takes its place', async () => {
  gateway = await testGateway({}, { maxConnections: 1 });
  const { story, listener, port } = gateway;
  const [submitted, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const submit = story.submit.bind(story);
  story.submit = async (...given) => {
    submitted.resolve();
    await goOn.promise;
    return submit(...given);
  };
  const client = await loggedIn(port);
  client.send(`${ENVELOPE}BDAT 3 LAST\r\nx\r\n`);
  await submitted.promise;
  client.socket.destroy();
  await new Promise((resolve) => client.socket.once('close', resolve));
  // Its end has come to the gateway by then, or it still counts for itself.
  const other = connect(port, '127.0.0.1');
  const [greeting] = await once(other, 'data');
  expect(String(greeting)).toBe('421 4.7.0 Too many connections; try again later\r\n');
  other.destroy();
  const closed = listener.close();
  goOn.resolve();
  await closed;
  expect(gateway.upstream.accepted).toHaveLength(1);
});

test.each([
  ['by BDAT', 'BDAT 3 LAST\r\nx\r\n'],
  ['by BDAT, long', `BDAT ${76 * 10_000} LAST\r\n${`${'x'.repeat(74)}\r\n`.repeat(10_000)}`],
])(
  'a message %s whose end has come is handed over before the 421; what is pipelined behind it is not begun',
  async (_, chunk) => {
    gateway = await testGateway();
    const { story, listener } = gateway;
    const [submitted, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const submit = story.submit.bind(story);
    story.submit = async (...given) => {
      submitted.resolve();
      await goOn.promise;
      return submit(...given);
    };
    const client = await loggedIn(gateway.port);
    client.send(`${ENVELOPE}${chunk}${ENVELOPE}BDAT 0 LAST\r\n`);
    for (let i = 0; i < 2; i++) expect(await client.reply()).toMatch(/^250/);
    await submitted.promise;
    const closed = listener.close();
    goOn.resolve();
    expect(await client.toEnd()).toEqual([expect.stringMatching(QUEUED), FAREWELL]);
    await closed;
    expect(gateway.upstream.accepted).toHaveLength(1);
    expect(gateway.upstream.commands.filter((line) => line.startsWith('MAIL'))).toHaveLength(1);
  },
);

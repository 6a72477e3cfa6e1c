import { afterEach, expect, test } from 'vitest';
import { loggedIn, QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const ENVELOPE = 'MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n';
const FAREWELL = '421 4.3.2 The gateway is shutting down; try again later';

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

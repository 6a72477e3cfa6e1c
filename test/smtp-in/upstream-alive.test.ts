import { afterEach, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import { loggedIn, QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const ENVELOPE = 'MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n';
const PART = `${'x'.repeat(74)}\r\n`.repeat(5_000);

test.each(['DATA', 'BDAT'])(
  'a mail server hears something each minute while a client takes long to send a message by %s',
  async (how) => {
    let now = 0;
    let begun = false;
    const inner = encryptedSpool();
    const spool = {
      begin: () => {
        begun = true;
        return inner.begin();
      },
    };
    gateway = await testGateway({}, { now: () => now, spool });
    const { upstream } = gateway;
    const client = await loggedIn(gateway.port);
    client.send(ENVELOPE);
    for (let i = 0; i < 2; i++) await client.reply();
    if (how === 'DATA') expect(await client.ask('DATA')).toMatch(/^354/);
    for (let part = 0; part < 4; part++) {
      client.send(how === 'DATA' ? PART : `BDAT ${PART.length}\r\n${PART}`);
      if (how === 'BDAT') expect(await client.reply()).toMatch(/^250/);
      while (!begun) await new Promise((resolve) => setTimeout(resolve, 5));
      now += limits.smtp.upstreamQuietMs + 1;
      client.send(how === 'DATA' ? 'y\r\n' : 'BDAT 3\r\ny\r\n');
      if (how === 'BDAT') expect(await client.reply()).toMatch(/^250/);
      const due = part + 1;
      while (upstream.commands.filter((line) => line === 'NOOP').length < due) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    expect(await client.ask(how === 'DATA' ? '.' : 'BDAT 0 LAST')).toMatch(QUEUED);
    // In the open transaction, which goes on.
    expect(upstream.commands.slice(2)).toEqual([
      'MAIL FROM:<a@example.org>',
      'RCPT TO:<b@example.net>',
      ...Array.from({ length: 4 }, () => 'NOOP'),
      'DATA',
    ]);
    expect(upstream.accepted).toHaveLength(1);
    client.end();
  },
);

test('so it does while a short message takes long', async () => {
  let now = 0;
  gateway = await testGateway({}, { now: () => now });
  const { upstream } = gateway;
  const client = await loggedIn(gateway.port);
  client.send(ENVELOPE);
  for (let i = 0; i < 2; i++) await client.reply();
  expect(await client.ask('DATA')).toMatch(/^354/);
  const heard = () => upstream.commands.filter((line) => line === 'NOOP').length;
  while (heard() < 3) {
    now += limits.smtp.upstreamQuietMs + 1;
    await client.trickle('y');
  }
  expect(await client.ask('\r\n.')).toMatch(QUEUED);
  expect(upstream.accepted).toHaveLength(1);
  client.end();
});

import { afterAll, afterEach, expect, test } from 'vitest';
import { certificateFor } from '../support/certificate.ts';
import { PLAIN, TestClient } from './support/client.ts';
import { KEYWORDS } from './support/fake-upstream.ts';
import { loggedIn, QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

/** What somebody on the way puts between two who are about to speak TLS (RFC 3207 §6). */

const material = certificateFor('localhost');
afterAll(() => material.remove());
let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const starttls = { tls: 'starttls', tlsMaterial: { cert: material.cert, key: material.key } } as const;
const EVIL = 'MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\n';

async function mailGoesThrough(client: TestClient): Promise<void> {
  expect(await client.ask('EHLO client.test')).toContain('AUTH');
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toMatch(/^235/);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (const code of ['250', '250', '354']) expect(await client.reply()).toContain(code);
  expect(await client.ask('x\r\n.')).toMatch(QUEUED);
}

test.each([
  ['a whole mail', `EHLO evil\r\nAUTH PLAIN ${PLAIN}\r\n${EVIL}DATA\r\nevil\r\n.\r\n`],
  ['an envelope, for the client’s own login to be put behind', `EHLO evil\r\n${EVIL}`],
  ['a chunk that the client’s commands would be the content of', `EHLO evil\r\n${EVIL}BDAT 100000 LAST\r\n`],
  ['the beginning of a message', `EHLO evil\r\n${EVIL}DATA\r\nSubject: evil\r\n`],
  ['half a command', 'MAIL FROM:<evil@exam'],
  ['the end of the session', 'QUIT\r\n'],
  ['bare line ends', 'NOOP\nNOOP\rNOOP\n'],
  ['half a login', 'AUTH LOGIN\r\n'],
])(
  'STARTTLS with %s behind it in the same segment: nothing of it is read, and the upstream hears nothing',
  async (_, injected) => {
    for (const allowPlainAuth of [false, true]) {
      gateway = await testGateway({}, { ...starttls, allowPlainAuth });
      const client = await TestClient.open(gateway.port);
      await client.ask('EHLO client.test');
      client.send(`STARTTLS\r\n${injected}`);
      expect(await client.reply()).toBe('220 2.0.0 Ready to start TLS');
      await client.secure(material.cert);
      await mailGoesThrough(client);
      expect(client.unread).toBe('');
      const mails = gateway.upstream.accepted.map(({ octets }) => octets.toString());
      expect(mails).toEqual(['x\r\n']);
      expect(
        gateway.upstream.commands.filter((line) => /evil|victim|^(?:BDAT|NOOP|AUTH LOGIN)/.test(line)),
      ).toEqual([]);
      client.end();
      await gateway.close();
    }
  },
);

test('plaintext that comes after the 220 is no handshake: the connection ends', async () => {
  gateway = await testGateway({}, starttls);
  const client = await TestClient.open(gateway.port);
  await client.ask('EHLO client.test');
  expect(await client.ask('STARTTLS')).toMatch(/^220/);
  client.send(`EHLO evil\r\n${EVIL}`);
  expect(await client.toEnd()).toEqual([]);
  expect(gateway.upstream.connections).toBe(0);
});

test('STARTTLS within a chunk is content; behind the last one it is too late', async () => {
  gateway = await testGateway({}, { ...starttls, allowPlainAuth: true });
  const client = await loggedIn(gateway.port);
  client.send(
    'MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nBDAT 10 LAST\r\nSTARTTLS\r\nSTARTTLS\r\n',
  );
  for (let i = 0; i < 2; i++) expect(await client.reply()).toMatch(/^250/);
  expect(await client.reply()).toMatch(QUEUED);
  expect(await client.reply()).toMatch(/^503/);
  client.end();
});

test.each([
  ['replies for later commands', '220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n235 2.7.0 evil\r\n'],
  ['half a reply', '220 go\r\n25'],
  ['one octet', '220 go\r\n\0'],
  ['the first line of a longer one', '220-go\r\n220 go\r\n250 evil\r\n'],
])(
  'an upstream whose 220 to STARTTLS has %s behind it: nobody logs in, and no mail goes there',
  async (_, said) => {
    const keywords = [...KEYWORDS, 'STARTTLS'];
    const running = await testGateway({ keywords, tls: material, script: { STARTTLS: said } });
    const other = await testGateway(
      {},
      {
        upstream: { host: '127.0.0.1', port: running.upstream.port, tls: 'starttls', caFile: material.file },
      },
    );
    gateway = other;
    const client = await TestClient.open(other.port);
    expect(await client.ask('EHLO client.test')).toMatch(/^421 4\.7\.0/);
    client.send(`AUTH PLAIN ${PLAIN}\r\n${EVIL}`);
    expect(await client.toEnd()).toEqual([]);
    expect(running.upstream.commands.filter((line) => !/^(?:EHLO|STARTTLS)/.test(line))).toEqual([]);
    await running.close();
  },
);

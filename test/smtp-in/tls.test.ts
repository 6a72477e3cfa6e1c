import { afterAll, afterEach, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { certificateFor } from '../support/certificate.ts';
import { PLAIN, TestClient } from './support/client.ts';
import { QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

const material = certificateFor('localhost');
afterAll(() => material.remove());
let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const starttls = { tls: 'starttls', tlsMaterial: { cert: material.cert, key: material.key } } as const;
const implicit = { ...starttls, tls: 'implicit' } as const;

async function sendsMail(client: TestClient): Promise<void> {
  expect(await client.ask('EHLO client.test')).toContain('AUTH PLAIN');
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toMatch(/^235/);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (const code of ['250', '250', '354']) expect(await client.reply()).toContain(code);
  expect(await client.ask('x\r\n.')).toMatch(QUEUED);
  expect(await client.ask('QUIT')).toMatch(/^221/);
}

test('implicit TLS: a mail goes through', async () => {
  gateway = await testGateway({}, implicit);
  await sendsMail(await TestClient.openTls(gateway.port, material.cert));
  expect(gateway.upstream.accepted.length).toBe(1);
});

test('RFC 3207: before the handshake there is no AUTH, no mail, and no call to the upstream', async () => {
  gateway = await testGateway({}, starttls);
  const client = await TestClient.open(gateway.port);
  expect(await client.ask('EHLO client.test')).toBe(
    '250-gateway.test\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 HELP',
  );
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toBe(
    '538 5.7.11 Encryption is required for AUTH; use STARTTLS',
  );
  expect(await client.ask('MAIL FROM:<a@example.org>')).toBe('530 5.7.0 Must issue a STARTTLS command first');
  expect(gateway.upstream.connections).toBe(0);
  expect(await client.ask('STARTTLS')).toBe('220 2.0.0 Ready to start TLS');
  await client.secure(material.cert);
  expect(await client.ask('MAIL FROM:<a@example.org>')).toBe('503 5.5.1 Send EHLO first');
  await sendsMail(client);
  expect(gateway.upstream.accepted.length).toBe(1);
});

test('STARTTLS command injection: what came behind STARTTLS is never read', async () => {
  gateway = await testGateway({}, starttls);
  const client = await TestClient.open(gateway.port);
  await client.ask('EHLO client.test');
  client.send(`STARTTLS\r\nEHLO evil.test\r\nAUTH PLAIN ${PLAIN}\r\nNOOP\r\n`);
  expect(await client.reply()).toMatch(/^220/);
  await client.secure(material.cert);
  // The first reply inside TLS is the one to the first command inside TLS.
  expect(await client.ask('VRFY x')).toMatch(/^252/);
  expect(client.unread).toBe('');
  expect(gateway.upstream.connections).toBe(0);
  client.end();
});

test('half a command before the handshake does not continue inside it', async () => {
  gateway = await testGateway({}, starttls);
  const client = await TestClient.open(gateway.port);
  await client.ask('EHLO client.test');
  client.send('STARTTLS\r\nMAIL FROM:<evil@exam');
  expect(await client.reply()).toMatch(/^220/);
  await client.secure(material.cert);
  expect(await client.ask('NOOP')).toMatch(/^250/);
  client.end();
});

test('STARTTLS where it makes no sense', async () => {
  gateway = await testGateway({}, starttls);
  const client = await TestClient.open(gateway.port);
  expect(await client.ask('STARTTLS')).toBe('503 5.5.1 Send EHLO first');
  await client.ask('EHLO client.test');
  await client.ask('STARTTLS');
  await client.secure(material.cert);
  expect(await client.ask('EHLO client.test')).not.toContain('STARTTLS');
  expect(await client.ask('STARTTLS')).toBe('503 5.5.1 TLS is already active');
  client.end();
  const plain = await testGateway();
  const other = await TestClient.open(plain.port);
  await other.ask('EHLO client.test');
  expect(await other.ask('STARTTLS')).toBe('502 5.5.1 STARTTLS is not offered here');
  other.end();
  await plain.close();
});

test('octets that are no handshake end the connection and nothing else', async () => {
  gateway = await testGateway({}, implicit);
  const garbage = TestClient.open(gateway.port);
  const client = await TestClient.openTls(gateway.port, material.cert);
  expect(await client.ask('NOOP')).toMatch(/^250/);
  client.end();
  await gateway.close();
  gateway = null;
  expect((await garbage).closed).toBe(true);
});

test('a listener with STARTTLS may be told to take logins without it', async () => {
  gateway = await testGateway({}, { ...starttls, allowPlainAuth: true });
  const client = await TestClient.open(gateway.port);
  expect(await client.ask('EHLO client.test')).toContain('STARTTLS');
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toMatch(/^235/);
  expect(await client.ask('STARTTLS')).toBe('503 5.5.1 STARTTLS must come before AUTH');
  client.end();
});

test('a client whose handshake has to wait for a place loses nothing that it says meanwhile', async () => {
  gateway = await testGateway({}, starttls);
  const { port } = gateway;
  const ready = async (): Promise<TestClient> => {
    const client = await TestClient.open(port);
    await client.ask('EHLO client.test');
    expect(await client.ask('STARTTLS')).toMatch(/^220/);
    return client;
  };
  // They take all places of the address, and say nothing.
  const silent: TestClient[] = [];
  for (let i = 0; i < limits.connections.handshakesOfAddress; i++) silent.push(await ready());
  const client = await ready();
  const secured = client.secure(material.cert);
  // Its first octets are there before there is a place.
  const other = await TestClient.open(port);
  for (let i = 0; i < 20; i++) await other.ask('EHLO client.test');
  for (const one of silent) one.end();
  await secured;
  await sendsMail(client);
  other.end();
});

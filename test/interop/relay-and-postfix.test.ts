import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { freePort } from '../../src/evaluation/free-port.ts';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { startGateway } from '../../src/gateway.ts';
import { TestClient } from '../smtp-in/support/client.ts';
import { type FakeUpstream, fakeUpstream } from '../smtp-in/support/fake-upstream.ts';
import { addressOf, type MailSystem, readInbox, startMailSystem } from '../support/mail-system.ts';
import { type RelayingPostfix, startRelayingPostfix } from '../support/services/relaying-postfix.ts';

/**
 * The gateway between real servers: Postfix before it and behind it, Dovecot at the end. What arrives encrypted lies in the mailbox as
 * plain mail, which any IMAP client reads without the gateway.
 */

const DOMAIN = 'sealgate.test';
const isRoot = process.getuid?.() === 0;
let system: MailSystem;
let sink: FakeUpstream;
let postfix: RelayingPostfix | null = null;
beforeAll(async () => {
  const [inbound, inboundByLmtp, outbound, reinjection] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  sink = await fakeUpstream();
  const here = { host: '127.0.0.1', tls: 'none' };
  const upstream = { host: '127.0.0.1', port: reinjection, tls: 'none' };
  const networks = ['127.0.0.1'];
  system = await startMailSystem({
    users: ['alice', 'bob', 'carol'],
    withoutKeys: ['carol'],
    sections: {
      relay: [
        {
          ...{ ...here, name: 'mx', port: inbound, direction: 'inbound', domains: [DOMAIN], upstream },
          trustedProxies: networks,
        },
        {
          ...{ ...here, name: 'mx-lmtp', port: inboundByLmtp, protocol: 'lmtp' },
          ...{ direction: 'inbound', domains: [DOMAIN], upstream },
        },
        { ...here, name: 'out', port: outbound, direction: 'outbound', from: { networks }, upstream },
      ],
    },
  });
  if (!isRoot) return;
  postfix = await startRelayingPostfix({
    ...{ inbound, inboundByLmtp, outbound, reinjection, domain: DOMAIN },
    ...{ lmtpPort: system.dovecot.lmtpPort, sinkPort: sink.port },
  });
});
afterAll(async () => {
  await postfix?.stop();
  await system?.stop();
  await sink?.close();
});

function started(): RelayingPostfix {
  if (postfix === null) throw new Error('Postfix was not started');
  return postfix;
}

/** Made by OpenSSL: signed by bob and encrypted to these. */
async function secured(subject: string, ...to: readonly string[]): Promise<string> {
  const { certificateFile, keyFile } = system.user('bob').identity;
  const sign = ['cms', '-sign', '-md', 'sha256', '-signer', certificateFile, '-inkey', keyFile];
  const entity = `Content-Type: text/plain\r\n\r\nsecret about ${subject}\r\n`;
  const signed = (await runProgram('openssl', sign, { input: entity })).stdout;
  const file = join(system.folder, `signed-${subject}`);
  await writeFile(file, signed);
  const certificates = to.map((name) => system.user(name).identity.certificateFile);
  const args = ['cms', '-encrypt', '-aes-256-cbc', '-in', file, ...certificates];
  const mail = (await runProgram('openssl', args)).stdout.toString('latin1');
  const header = `From: ${addressOf('bob')}\r\nTo: ${to.map(addressOf).join(', ')}\r\nSubject: ${subject}\r\n`;
  return `${header}${mail.replace(/\r?\n/g, '\r\n')}`;
}

async function hand(port: number, from: string, to: readonly string[], mail: string): Promise<string> {
  return talk(await TestClient.open(port), from, to, mail);
}

async function talk(client: TestClient, from: string, to: readonly string[], mail: string): Promise<string> {
  await client.ask('EHLO elsewhere.test');
  await client.ask(`MAIL FROM:<${from}>`);
  for (const one of to) await client.ask(`RCPT TO:<${one}>`);
  await client.ask('DATA');
  client.send(`${mail}.\r\n`);
  const said = (await client.reply()) ?? '';
  client.send('QUIT\r\n');
  await once(client.socket, 'close');
  return said;
}

/** By plain IMAP, without the gateway. */
async function inbox(name: string, subject: string): Promise<string> {
  const server = { port: system.dovecot.imapPort, secure: false };
  const found = async () => {
    const mails = await readInbox(server, system.user(name), system.pki.ca.certificate).catch(() => []);
    return (
      mails.map((mail) => mail.toString('latin1')).find((mail) => mail.includes(`Subject: ${subject}\r\n`)) ??
      ''
    );
  };
  await expect.poll(found, { interval: 200 }).not.toBe('');
  return found();
}

/** As MX itself: nothing between the gateway and Dovecot. */
async function withDovecotBehind(work: (port: number) => Promise<void>): Promise<void> {
  const { submission, imap, pop3, ...rest } = parse(await readFile(system.configFile, 'utf8'));
  const file = join(system.folder, 'mx.yaml');
  const upstream = { host: '127.0.0.1', port: system.dovecot.lmtpPort, tls: 'none', protocol: 'lmtp' };
  const mx = { name: 'mx', host: '127.0.0.1', port: 0, tls: 'starttls', direction: 'inbound' };
  const stateFolder = join(system.folder, 'mx-state');
  const settings = { ...rest, stateFolder, relay: [{ ...mx, domains: [DOMAIN], upstream }] };
  await writeFile(file, stringify(settings), { mode: 0o600 });
  const loaded = await loadConfig(file);
  if (loaded.kind === 'invalid') throw new Error(loaded.problems.map(formatProblem).join('\n'));
  const gateway = await startGateway(loaded.config, { write: () => undefined });
  try {
    await work(gateway.port('mx'));
  } finally {
    await gateway.close();
  }
}

test('as MX with Dovecot behind, by LMTP: mail lies readable in the mailbox, and its signer is known from then on', async () => {
  await withDovecotBehind(async (port) => {
    const mail = await secured('direct', 'alice');
    const to = [addressOf('alice'), addressOf('carol')];
    expect(await hand(port, addressOf('bob'), to, mail)).toMatch(/^250 2\.0\.0 /);
    expect(await inbox('alice', 'direct')).toContain('secret about direct');
    expect(await inbox('carol', 'direct')).not.toContain('secret about');
    const client = await TestClient.open(port);
    await client.ask('EHLO elsewhere.test');
    await client.ask(`MAIL FROM:<${addressOf('bob')}>`);
    expect(await client.ask('RCPT TO:<nobody@sealgate.test>')).toMatch(/^550 /);
    expect(await client.ask('RCPT TO:<victim@elsewhere.test>')).toMatch(/^550 5\.7\.1 Relaying/);
    client.end();
  });
});

test('Postfix is only started by root', async () => {
  if (isRoot) return;
  const around = {
    inbound: 1,
    inboundByLmtp: 1,
    outbound: 1,
    reinjection: 1,
    domain: DOMAIN,
    lmtpPort: 1,
    sinkPort: 1,
  };
  await expect(startRelayingPostfix(around)).rejects.toThrow('only as root');
});

describe('with Postfix', () => {
  test.each(['beforeQueue', 'afterQueue', 'afterQueueByLmtp'] as const)(
    'in front (%s): mail is opened for whom it is, and lies readable in the mailbox',
    async (way) => {
      if (!isRoot) return;
      const mail = await secured(way, 'alice');
      const said = await hand(
        started()[way],
        addressOf('bob'),
        [addressOf('alice'), addressOf('carol')],
        mail,
      );
      expect(said).toMatch(/^250 2\.0\.0 /);
      const alices = await inbox('alice', way);
      expect(alices).toContain(`secret about ${way}`);
      expect(alices).toMatch(/Status: v=1; view=opened;[\s\S]*verdict=trusted/);
      expect(alices).toMatch(/by gateway\.sealgate\.test \(Sealgate mx(-lmtp)?\)/);
      const carols = await inbox('carol', way);
      expect(carols).not.toContain('secret about');
      expect(carols).toContain('application/pkcs7-mime');
    },
  );

  test('what Postfix says of its client is told to the Postfix behind', async () => {
    if (!isRoot) return;
    const client = await TestClient.open(started().beforeQueue);
    await client.ask('EHLO elsewhere.test');
    expect(await client.ask('XCLIENT ADDR=192.0.2.77 NAME=mx.elsewhere.test')).toMatch(/^220 /);
    // In two messages: each of them is a transaction of its own.
    const mail = await secured('forwarded', 'alice');
    const to = [addressOf('alice'), addressOf('carol')];
    expect(await talk(client, 'x@elsewhere.test', to, mail)).toMatch(/^250 /);
    await Promise.all([inbox('alice', 'forwarded'), inbox('carol', 'forwarded')]);
    const told = /orig_client=mx\.elsewhere\.test\[192\.0\.2\.77\]/g;
    const times = async () => (await started().logText()).match(told)?.length;
    await expect.poll(times).toBeGreaterThanOrEqual(2);
  });

  test('mail of own people to others leaves signed, and that of strangers not at all', async () => {
    if (!isRoot) return;
    const mail = `From: ${addressOf('alice')}\r\nTo: partner@elsewhere.test\r\nSubject: offer\r\n\r\nour offer\r\n`;
    expect(await hand(started().outbound, addressOf('alice'), ['partner@elsewhere.test'], mail)).toMatch(
      /^250 /,
    );
    await expect.poll(() => sink.accepted.length).toBe(1);
    const text = sink.accepted[0]?.octets.toString('latin1') ?? '';
    expect(text).toMatch(/Content-Type: multipart\/signed/);
    expect(text).toMatch(/by gateway\.sealgate\.test \(Sealgate out\)/);
    await hand(
      started().outbound,
      'mallory@elsewhere.test',
      ['partner@elsewhere.test'],
      'Subject: no\r\n\r\nno\r\n',
    );
    // Postfix bounces it: the report comes by the null sender, which is passed on.
    const refused = /said: 554 5\.7\.1 The sender is nobody/;
    await expect.poll(() => started().logText()).toMatch(refused);
  });
});

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runToEnd } from '../../src/evaluation/run-program.ts';
import { type SmtpUpstream, startSmtpUpstream } from '../../src/evaluation/smtp-upstream.ts';
import { TestClient } from '../smtp-in/support/client.ts';
import { killUnderLoad } from '../support/kills-under-load.ts';
import { addressOf, type MailSystem, opensslVerify, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { SoftHsm } from '../support/services/softhsm.ts';
import { type GatewayProcess, startByHand } from './support/gateway-process.ts';
import { bulkCommand, strangerAt } from './support/mailbox.ts';

/** What happens to a gateway in the hands of its operator: whatever does, no mail is lost and none leaves unprotected. */

let token: Started<SoftHsm>;
let system: MailSystem;

beforeAll(async () => {
  token = await services.softhsm();
  system = await startMailSystem({
    users: ['alice', 'bob'],
    async keys({ pki, folder }) {
      await token.generateKey(pki, { address: addressOf('alice') });
      await token.generateKey(pki, { address: addressOf('bob'), type: 'p-256' });
      const pin = join(folder, 'token.pin');
      await writeFile(pin, token.pin, { mode: 0o600 });
      const source = { kind: 'pkcs11', module: token.module, token: token.tokenLabel, pin: { file: pin } };
      return [{ name: 'hsm', ...source, environment: token.env }];
    },
    keyOf: (name) => `hsm/${addressOf(name)}`,
    spell: (login) => login.replace('sealgate.test', 'SEALGATE.test'),
  });
}, 120_000);
afterAll(async () => {
  await system?.stop();
  await token?.stop();
});

const state = (name: string) => ({ stateFolder: join(system.folder, name) });

/** The reply, whatever it is. */
async function send(gateway: GatewayProcess, subject: string, from = 'alice', to = 'bob'): Promise<string> {
  const client = createTransport({
    host: 'localhost',
    port: gateway.port('submission'),
    requireTLS: true,
    tls: { ca: system.pki.ca.certificate },
    auth: { user: system.user(from).login, pass: system.user(from).password },
  });
  try {
    const mail = { from: addressOf(from), to: addressOf(to), subject, text: `words of ${subject}` };
    return (await client.sendMail(mail)).response;
  } catch (error) {
    return error instanceof Error
      ? ((error as { response?: string }).response ?? error.message)
      : String(error);
  } finally {
    client.close();
  }
}

/** What reached the upstream under a Subject. */
function arrived(subject: string): Buffer[] {
  return system.upstream.received
    .map(({ octets }) => octets)
    .filter((octets) => octets.toString('latin1').includes(`Subject: ${subject}\r\n`));
}

describe('a key process that dies under load', () => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    gateway = await startByHand(system, 'killed', state('killed'));
  });
  afterAll(() => gateway?.stop());

  it('loses no mail and sends none unsigned; what was deferred is signed and accepted when it comes again', async () => {
    const before = system.upstream.received.length;
    const { replies, recoveries } = await killUnderLoad({
      // The upstream keeps the last hundred mails.
      ...{ kills: 6, lanes: 3 },
      send: (subject) => send(gateway, subject),
      keyProcess: async () => (await gateway.children())[0] ?? null,
    });
    expect(recoveries).toHaveLength(6);
    expect(gateway.output()).toContain('key.process-ended');
    for (const [subject, reply] of replies) {
      expect([subject, reply]).toEqual([subject, expect.stringMatching(/^250/)]);
      const mails = arrived(subject);
      expect([subject, mails.length]).toEqual([subject, 1]);
      for (const octets of mails) await opensslVerify(system, octets);
    }
    // Nothing else has arrived, such as a mail that its sender was told to send again.
    expect(system.upstream.received.length - before).toBe(replies.size);
    expect(await send(gateway, 'after')).toMatch(/^250/);
    for (const octets of arrived('after')) await opensslVerify(system, octets);
    expect(arrived('after')).toHaveLength(1);
  });
});

describe('SIGTERM', () => {
  it('in the middle of mails: what was accepted has arrived, what has arrived is signed, exit code 0', async () => {
    const gateway = await startByHand(system, 'terminated', state('terminated'));
    const subjects = Array.from({ length: 12 }, (_, i) => `term-${i}`);
    const sending = Promise.all(
      subjects.map(async (subject) => [subject, await send(gateway, subject)] as const),
    );
    while (!gateway.output().includes('"event":"mail.handed-over"')) await new Promise(setImmediate);
    expect(await gateway.stop()).toBe(0);
    const replies = await sending;
    expect(replies.some(([, reply]) => reply.startsWith('250'))).toBe(true);
    for (const [subject, reply] of replies) {
      const mails = arrived(subject);
      expect(mails.length).toBeLessThanOrEqual(1);
      if (reply.startsWith('250')) expect([subject, mails.length]).toEqual([subject, 1]);
      for (const octets of mails) await opensslVerify(system, octets);
    }
    expect(gateway.output()).toContain('gateway.stopped');
  });

  it('while a client is in the middle of DATA: 421, and nothing of the mail goes anywhere', async () => {
    const gateway = await startByHand(system, 'half', state('half'));
    const client = await TestClient.open(gateway.port('submission'));
    await client.ask('EHLO client.test');
    await client.ask('STARTTLS');
    await client.secure(system.pki.ca.certificate);
    await client.ask('EHLO client.test');
    await client.ask(`AUTH PLAIN ${Buffer.from(`\0${addressOf('alice')}\0pass-alice`).toString('base64')}`);
    await client.ask(`MAIL FROM:<${addressOf('alice')}>`);
    await client.ask(`RCPT TO:<${addressOf('bob')}>`);
    expect(await client.ask('DATA')).toMatch(/^354/);
    client.send(`From: ${addressOf('alice')}\r\nSubject: half\r\n\r\nhalf a`);
    const stopped = gateway.stop();
    expect((await client.toEnd()).join()).toMatch(/^421 4\./);
    expect(await stopped).toBe(0);
    expect(arrived('half')).toHaveLength(0);
  });
});

describe('a mail server that goes away', () => {
  it('refuses for the time being; sessions after its return work', async () => {
    const users = ['alice', 'bob'].map((name) => system.user(name));
    const options = { users, lmtpPort: null, tls: system.server };
    let upstream: SmtpUpstream = await startSmtpUpstream(options);
    const { port } = upstream;
    const to = {
      host: '127.0.0.1',
      serverName: 'localhost',
      tls: 'starttls',
      ca: system.pki.ca.certificateFile,
      port,
    };
    const submission = [{ name: 'submission', host: '127.0.0.1', port: 0, tls: 'starttls', upstream: to }];
    const gateway = await startByHand(system, 'away', { ...state('away'), submission });
    try {
      expect(await send(gateway, 'one')).toMatch(/^250/);
      await upstream.stop();
      expect(await send(gateway, 'two')).toMatch(/^(?:4\d\d|421)/);
      upstream = await startSmtpUpstream({ ...options, port });
      expect(await send(gateway, 'three')).toMatch(/^250/);
      expect(upstream.received).toHaveLength(1);
    } finally {
      await gateway.stop();
      await upstream.stop();
    }
  });
});

describe('two gateways with one state folder', () => {
  it('share what is learned; `cert list` reads it beside them', async () => {
    const shared = state('shared');
    const [one, other] = await Promise.all([
      startByHand(system, 'one', shared),
      startByHand(system, 'other', shared),
    ]);
    try {
      expect(await send(one, 'to-alice', 'bob', 'alice')).toMatch(/^250/);
      const client = await strangerAt({ ...system, imapPort: one.port('imaps') });
      await client.command(`LOGIN ${addressOf('alice')} pass-alice`);
      await client.command('SELECT INBOX');
      await bulkCommand(client, 'FETCH 1:* (BODY.PEEK[])');
      client.close();
      const listed = await command('cert', 'list', '--config', other.configFile);
      expect(listed.stdout.toString()).toContain(addressOf('bob'));
      expect(await send(other, 'to-bob')).toMatch(/^250/);
      expect(arrived('to-bob')[0]?.toString('latin1')).toMatch(/enveloped-data/i);
      const explained = await command(
        ...['policy', 'explain', '--config', one.configFile, '--from', addressOf('alice')],
        ...['--to', addressOf('bob'), 'stranger@example.org'],
      );
      expect(explained.stdout.toString()).toMatch(
        /bob@sealgate\.test[\s\S]*encrypt[\s\S]*stranger@example\.org/,
      );
    } finally {
      await Promise.all([one.stop(), other.stop()]);
    }
  });
});

describe('the command line', () => {
  it.each([
    [['--help']],
    [['serve', '--help']],
    [['config', '--help']],
    [['cert', 'list', '--help']],
    [['policy', 'explain', '--help']],
  ])('%j explains itself', async (args) => {
    const { stdout, failure } = await command(...args);
    expect(failure).toBeNull();
    expect(stdout.toString()).toMatch(/^Usage: sealgate/);
  });

  it.each([
    [['serve', '--confg', 'x'], /unknown option|config/],
    [['bogus'], /unknown command|too many arguments/],
    [['policy', 'explain', '--from', 'a@b.test'], /--to/],
    [['cert', 'list', '--config', '/nowhere/at/all.yaml'], /all\.yaml/],
  ])('%j: a sentence and exit code 1', async (args, sentence) => {
    const { stderr, failure } = await command(...args);
    expect(failure).toBe('exit code 1');
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it('a state folder that cannot be is one sentence', async () => {
    const file = join(system.folder, 'a-file');
    await writeFile(file, '');
    await expect(startByHand(system, 'unusable', { stateFolder: join(file, 'state') })).rejects.toThrow(
      /sealgate: .*a-file/,
    );
  });
});

function command(...args: readonly string[]) {
  return runToEnd(process.execPath, ['src/main.ts', ...args]);
}

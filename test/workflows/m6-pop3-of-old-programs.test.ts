import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import {
  curlPop3,
  fetchmailPop3,
  opensslPop3,
  type Pop3ClientOptions,
} from '../support/services/pop3-clients.ts';

/**
 * Outlook Express and Outlook 2003 fetch by POP3, with TLS 1.0, RSA key exchange and no elliptic curve. They run on nothing that
 * is here: OpenSSL, curl and fetchmail, held to what those had, say what they said.
 */
describe('M6: POP3 with Outlook Express, Outlook 2003', () => {
  let system: MailSystem;
  let old: Pop3ClientOptions;

  beforeAll(async () => {
    system = await startMailSystem({
      users: ['alice', 'bob'],
      pinned: ['bob'],
      serverKey: 'rsa-2048',
      pop3: { oldTls: true },
    });
    const caFile = system.pki.ca.certificateFile;
    old = { port: system.pop3Port, tls: 'implicit', ...system.user('bob'), caFile, old: true };
    for (const words of ['the boathouse key', 'the second letter']) {
      await system.send('alice', {
        to: addressOf('bob'),
        subject: words,
        text: `this is ${words}\n.with a dot\n`,
      });
    }
  });
  afterAll(() => system.stop());

  it('the operator said so, and is warned', async () => {
    const loaded = await loadConfig(system.configFile);
    if (loaded.kind !== 'ok') throw new Error('the configuration is not sound');
    expect(loaded.warnings.map(({ path, text }) => `${path}: ${text}`)).toContainEqual(
      expect.stringMatching(/^pop3\[0\]\.oldTls: TLS 1\.0 and 1\.1 can be attacked/),
    );
  });

  it('a listener that does not say so lets no such program in', async () => {
    const { failure } = await curlPop3({ ...old, port: system.imapPort }, '');
    expect(failure).not.toBeNull();
    const refused = await opensslPop3({ ...old, port: system.imapPort }, ['QUIT']);
    expect(refused.stdout.toString()).not.toContain('OK');
    expect(refused.stderr).toMatch(/alert|protocol/);
  });

  it('Outlook 2003 leaves mail on the server, and fetches each once', async () => {
    await using fetchmail = await fetchmailPop3(old);
    const first = await fetchmail.pull('leave');
    expect([first.failure, first.stdout.toString()]).toEqual([null, expect.stringContaining('2 messages')]);
    const mails = await fetchmail.mails();
    expect(mails.filter((mail) => mail.includes('this is the boathouse key\n.with a dot\n'))).toHaveLength(1);
    expect(mails.filter((mail) => mail.includes('this is the second letter'))).toHaveLength(1);
    for (const mail of mails) {
      expect(mail).toMatch(/^Authentication-Results: [^;]*;\s+smime=pass/m);
    }
    await system.send('alice', { to: addressOf('bob'), subject: 'third', text: 'the third letter\n' });
    await fetchmail.pull('leave');
    expect((await fetchmail.mails()).length).toBe(3);
    expect(await system.stored('bob')).toHaveLength(3);
  });

  it('Outlook Express lists, fetches and deletes', async () => {
    const list = await curlPop3(old, '');
    expect([list.failure, list.stderr]).toEqual([null, '']);
    const sizes = list.stdout.toString().trim().split(/\r?\n/);
    const message = await curlPop3(old, '1');
    expect(`1 ${message.stdout.length}`).toBe(sizes[0]);
    expect(message.stdout.toString()).toContain('this is the boathouse key\r\n.with a dot\r\n');
    const said = await opensslPop3(old, ['STAT', 'LIST', 'RETR 1', 'DELE 1', 'QUIT']);
    expect(said.stdout.toString('latin1')).toContain('this is the boathouse key\r\n..with a dot\r\n');
    expect(said.stdout.toString('latin1').split('\r\n').slice(-3, -1)).toEqual([
      expect.stringMatching(/^\+OK/),
      expect.stringMatching(/^\+OK/),
    ]);
    expect(await system.stored('bob')).toHaveLength(2);
    const left = await curlPop3(old, '1');
    expect(left.stdout.toString()).toContain('this is the second letter');
  });

  it('sees a certificate that is not trusted as what it is: the protocol is old, its checks are not gone', async () => {
    const { failure } = await curlPop3({ ...old, caFile: system.user('bob').identity.certificateFile }, '');
    expect(failure).not.toBeNull();
  });
});

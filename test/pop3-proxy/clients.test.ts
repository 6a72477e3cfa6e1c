import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type SeededMailbox, seededMailbox } from '../conformance/support/seeded-mailbox.ts';
import {
  curlPop3,
  fetchmailPop3,
  type Pop3ClientOptions,
  poplibRead,
} from '../support/services/pop3-clients.ts';

/** Real clients, a real server, mail of every class; STLS on both legs. */

describe.each(['implicit', 'starttls'] as const)('clients with TLS: %s', (tls) => {
  let mailbox: SeededMailbox;
  let options: Pop3ClientOptions;

  beforeAll(async () => {
    mailbox = await seededMailbox({
      pop3: { tls, relayMechanisms: ['CRAM-MD5'], rawLoginSuffix: '+raw' },
      dovecot: 'auth_mechanisms = plain login cram-md5',
    });
    const { system } = mailbox;
    const caFile = system.pki.ca.certificateFile;
    options = { port: system.pop3Port, tls, ...system.user('bob'), caFile };
  });
  afterAll(() => mailbox?.stop());

  test('poplib reads what LIST and STAT announce', async () => {
    const { stat, messages } = await poplibRead(options);
    expect(stat[0]).toBe(mailbox.messages.length);
    expect(stat[1]).toBe(messages.reduce((sum, { size }) => sum + size, 0));
    for (const [i, { size, octets, whole, top }] of messages.entries()) {
      const { name, words } = mailbox.messages[i] ?? { name: '', words: null };
      expect([name, octets]).toEqual([name, size]);
      expect(whole.startsWith(top), name).toBe(true);
      if (words !== null) expect(whole, name).toContain(words);
    }
    expect(new Set(messages.map(({ uidl }) => uidl)).size).toBe(messages.length);
  });

  test('curl lists, fetches and asks for the beginning', async () => {
    const list = await curlPop3(options, '');
    expect([list.failure, list.stderr]).toEqual([null, '']);
    expect(list.stdout.toString().trim().split(/\r?\n/)).toHaveLength(mailbox.messages.length);
    for (const [i, { octets, words, name }] of mailbox.messages.entries()) {
      const { stdout } = await curlPop3(options, `${i + 1}`);
      expect([name, stdout.length]).toEqual([name, octets.length]);
      if (words !== null) expect(stdout.toString('latin1')).toContain(words);
    }
    const wrong = await curlPop3({ ...options, password: 'wrong' }, '');
    expect(wrong.failure).toBe('exit code 67');
  });

  test('curl logs in every way, and for mail as it is stored', async () => {
    const number = mailbox.messages.findIndex(({ name }) => name === 'enveloped by GCM') + 1;
    const { octets, words } = mailbox.message('enveloped by GCM');
    for (const mechanism of ['PLAIN', 'LOGIN', 'CRAM-MD5']) {
      const { stdout, stderr } = await curlPop3({ ...options, mechanism }, `${number}`);
      expect([mechanism, stderr]).toEqual([mechanism, '']);
      expect(stdout.toString('latin1')).toContain(words);
    }
    const raw = await curlPop3(
      { ...options, login: `${options.login}+raw`, mechanism: 'PLAIN' },
      `${number}`,
    );
    expect([raw.failure, raw.stderr]).toEqual([null, '']);
    expect(raw.stdout.toString('latin1')).toBe(octets.toString('latin1'));
  });

  test('fetchmail leaves mail, then takes it away', async () => {
    const before = await mailbox.originals();
    await using fetchmail = await fetchmailPop3(options);
    const first = await fetchmail.pull('leave');
    expect([first.failure, first.stderr]).toEqual([null, expect.anything()]);
    expect(await mailbox.originals()).toEqual(before);
    const mails = await fetchmail.mails();
    for (const { words, name } of mailbox.messages) {
      if (words !== null)
        expect(
          mails.some((mail) => mail.includes(words)),
          name,
        ).toBe(true);
    }
    expect((await fetchmail.pull('leave')).failure).toBe('exit code 1');
    expect((await fetchmail.pull('take')).failure).toBeNull();
    expect(await mailbox.originals()).toEqual([]);
    expect((await fetchmail.mails()).length).toBe(2 * mailbox.messages.length);
  });
});

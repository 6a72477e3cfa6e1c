import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addressOf,
  type MailSystem,
  opensslOpen,
  opensslVerify,
  startMailSystem,
} from '../support/mail-system.ts';
import {
  curlSending,
  eximSending,
  type Letter,
  msmtp,
  muttSending,
  pythonSmtplib,
  type SendingOptions,
} from '../support/services/sending-clients.ts';
import { services } from '../support/services/services.ts';

const CLIENTS = {
  msmtp,
  mutt: muttSending,
  'Python’s smtplib': pythonSmtplib,
  curl: curlSending,
  Exim: eximSending,
};

describe('programs of all kinds submit through the gateway', () => {
  let system: MailSystem;
  let made = 0;
  beforeAll(async () => {
    system = await startMailSystem({
      users: ['alice', 'bob', 'carol'],
      pinned: ['bob'],
      rules: [{ name: 'all', sign: 'require', encrypt: 'if-possible' }],
    });
  });
  afterAll(() => system?.stop());

  async function options(password?: string): Promise<SendingOptions> {
    const folder = join(system.folder, `client-${made++}`);
    await mkdir(folder, { mode: 0o700 });
    const alice = system.user('alice');
    return {
      ...{ folder, port: system.submissionPort, login: alice.login, password: password ?? alice.password },
      caFile: system.pki.ca.certificateFile,
    };
  }

  const letter = (to: readonly string[]): Letter => ({
    ...{ from: addressOf('alice'), to },
    text: `From: ${addressOf('alice')}\nTo: ${to.join(', ')}\nSubject: from a program\n\nthe boathouse key\n.\n..two dots\n`,
  });

  describe.each(Object.entries(CLIENTS))('%s', (_, send) => {
    it('one mail for two: signed for who has no certificate, encrypted for who has one', async () => {
      const { accepted, output } = await send(
        await options(),
        letter([addressOf('bob'), addressOf('carol')]),
      );
      expect(accepted, output).toBe(true);
      const taken = system.taken();
      expect(taken.map(({ envelope }) => envelope.recipients).sort()).toEqual([
        [addressOf('bob')],
        [addressOf('carol')],
      ]);
      for (const { octets, envelope } of taken) {
        const toBob = envelope.recipients.includes(addressOf('bob'));
        const text = toBob ? await opensslOpen(system, octets, 'bob') : await opensslVerify(system, octets);
        expect(text.toString()).toMatch(/the boathouse key\r?\n\.\r?\n\.\.two dots/);
        if (toBob) expect(octets.toString()).not.toContain('boathouse');
      }
    });

    it('a wrong password is refused, and nothing leaves', async () => {
      const { accepted, output } = await send(await options('wrong'), letter([addressOf('carol')]));
      expect(accepted, output).toBe(false);
      expect(output).toMatch(/535|denied|authenticat/i);
      expect(system.taken()).toEqual([]);
    });
  });

  it('swaks, and nodemailer, the same', async () => {
    await using swaks = await services.swaks();
    const { accepted, transcript } = await swaks.send({
      ...{ port: system.submissionPort, from: addressOf('alice'), to: [addressOf('carol')] },
      ...{ auth: system.user('alice'), tls: 'starttls', caFile: system.pki.ca.certificateFile },
      message: letter([addressOf('carol')]).text,
    });
    expect(accepted, transcript).toBe(true);
    await system.send('alice', { to: addressOf('carol'), subject: 'x', text: 'the boathouse key' });
    const taken = system.taken();
    expect(taken).toHaveLength(2);
    for (const { octets } of taken) {
      expect((await opensslVerify(system, octets)).toString()).toContain('the boathouse key');
    }
  });
});

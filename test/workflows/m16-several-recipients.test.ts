import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import type { ReceivedMail } from '../../src/evaluation/smtp-upstream.ts';
import {
  addressOf,
  type MailSystem,
  opensslOpen,
  opensslVerify,
  startMailSystem,
} from '../support/mail-system.ts';
import { services } from '../support/services/services.ts';

describe('M16 (first form): one mail to several recipients', () => {
  let system: MailSystem;

  beforeAll(async () => {
    system = await startMailSystem({
      users: ['alice', 'bob', 'carol', 'dave', 'erin'],
      pinned: ['bob', 'dave', 'erin'],
      rules: [
        {
          name: 'erin-only-encrypted',
          when: { recipient: [addressOf('erin')] },
          sign: 'require',
          encrypt: 'require',
        },
        { name: 'all', sign: 'require', encrypt: 'if-possible' },
      ],
    });
  });
  afterAll(() => system.stop());

  it('those who can share a message share it, the rest get variants, and nobody is silently unprotected', async () => {
    await system.send('alice', {
      to: [addressOf('bob'), addressOf('carol')],
      cc: [addressOf('erin')],
      bcc: [addressOf('dave')],
      subject: 'several',
      text: 'the boathouse key',
    });
    const taken = system.taken();
    const of = (name: string) =>
      taken.filter(({ envelope }) => envelope.recipients.includes(addressOf(name)));

    for (const name of ['bob', 'carol', 'dave', 'erin']) expect(of(name), name).toHaveLength(1);
    expect(taken.flatMap(({ envelope }) => envelope.recipients)).toHaveLength(4);
    expect(of('bob')[0]?.envelope.recipients.sort()).toEqual([addressOf('bob'), addressOf('erin')].sort());
    for (const name of ['bob', 'dave', 'erin']) {
      const octets = theOne(of(name));
      expect(octets.toString(), name).not.toContain('boathouse');
      expect((await opensslOpen(system, octets, name)).toString(), name).toContain('the boathouse key');
    }
    const forCarol = theOne(of('carol'));
    expect(forCarol.toString()).toContain('multipart/signed');
    expect((await opensslVerify(system, forCarol)).toString()).toContain('the boathouse key');
  });

  it('no RecipientInfo betrays the Bcc recipient to the others', async () => {
    await system.send('alice', {
      to: addressOf('bob'),
      bcc: addressOf('dave'),
      subject: 'quietly',
      text: 'psst',
    });
    const taken = system.taken();
    const forBob = theOne(taken.filter(({ envelope }) => envelope.recipients.includes(addressOf('bob'))));
    const serial = async (name: string) => {
      const args = ['x509', '-noout', '-serial', '-in', system.user(name).identity.certificateFile];
      return Buffer.from(
        (await runProgram('openssl', args)).stdout.toString().trim().slice('serial='.length),
        'hex',
      );
    };
    const { stdout: cms } = await runProgram('openssl', ['cms', '-cmsout', '-outform', 'DER'], {
      input: forBob,
    });
    expect(cms.includes(await serial('bob'))).toBe(true);
    expect(cms.includes(await serial('alice'))).toBe(true);
    expect(cms.includes(await serial('dave'))).toBe(false);
    expect(forBob.toString()).not.toContain(addressOf('dave'));
  });

  it('one recipient who must be encrypted to and cannot be stops the mail for all, with a sentence', async () => {
    const strict = await startMailSystem({
      users: ['alice', 'bob', 'carol'],
      pinned: ['bob'],
      rules: [{ name: 'strict', sign: 'require', encrypt: 'require' }],
    });
    try {
      await expect(
        strict.send('alice', { to: [addressOf('bob'), addressOf('carol')], subject: 'never', text: 'x' }),
      ).rejects.toThrow(/5\d\d 5\.\d\.\d .*carol@sealgate\.test/s);
      expect(strict.taken()).toHaveLength(0);
    } finally {
      await strict.stop();
    }
  });

  it('a rule with refuse-recipient says so at the recipient, and the others get the mail', async () => {
    const strict = await startMailSystem({
      users: ['alice', 'bob', 'carol'],
      pinned: ['bob'],
      rules: [
        { name: 'strict', sign: 'require', encrypt: 'require', withoutCertificate: 'refuse-recipient' },
      ],
    });
    try {
      await using swaks = await services.swaks();
      const { transcript } = await swaks.send({
        port: strict.submissionPort,
        from: addressOf('alice'),
        to: [addressOf('carol'), addressOf('bob')],
        auth: strict.user('alice'),
        tls: 'starttls',
        caFile: strict.pki.ca.certificateFile,
        message: `From: ${addressOf('alice')}\r\nTo: ${addressOf('bob')}, ${addressOf('carol')}\r\nSubject: x\r\n\r\nthe boathouse key\r\n`,
      });
      expect(transcript).toMatch(
        /RCPT TO:<carol@sealgate\.test>\r?\n<~\* 550 5\.7\.1 .*carol@sealgate\.test/,
      );
      const taken = strict.taken();
      expect(taken.map(({ envelope }) => envelope.recipients)).toEqual([[addressOf('bob')]]);
      expect((await opensslOpen(strict, theOne(taken), 'bob')).toString()).toContain('the boathouse key');
    } finally {
      await strict.stop();
    }
  });
});

function theOne(mails: readonly ReceivedMail[]): Buffer {
  const [mail] = mails;
  if (mail === undefined || mails.length !== 1)
    throw new Error(`${mails.length} mails where one was expected`);
  return mail.octets;
}

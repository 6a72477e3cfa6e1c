import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { oid } from '../../src/asn1/writer.ts';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { addressOf, type MailSystem, opensslOpen, startMailSystem } from '../support/mail-system.ts';

const SEALGATE = ['src/main.ts'];

function cmsOf(octets: Buffer = Buffer.alloc(0)): Buffer {
  const text = octets.toString('latin1');
  return Buffer.from(text.slice(text.indexOf('\r\n\r\n')), 'base64');
}

describe('M12 (first form): a correspondent’s certificate is learned from the mail itself', () => {
  let system: MailSystem;

  beforeAll(async () => {
    system = await startMailSystem({ users: ['alice', 'bob', 'mallory'] });
  });
  afterAll(() => system.stop());

  it('alice’s first mail to bob is only signed: his certificate is not known', async () => {
    await system.send('alice', { to: addressOf('bob'), subject: 'one', text: 'first words' });
    const [mail] = system.taken();
    expect(mail?.octets.toString()).toContain('multipart/signed');
  });

  it('bob answers signed and alice reads it; her next mail to him is encrypted', async () => {
    await system.send('bob', { to: addressOf('alice'), subject: 're: one', text: 'hello alice' });
    await system.read('alice');
    system.taken();
    await system.send('alice', { to: addressOf('bob'), subject: 'two', text: 'the boathouse key' });
    const [mail] = system.taken();
    expect(mail?.octets.toString()).not.toContain('boathouse');
    // His signature said what is read for him.
    expect(mail?.octets.toString()).toContain('smime-type=authEnveloped-data');
    expect(cmsOf(mail?.octets).includes(oid('1.2.840.113549.1.1.7'))).toBe(true);
    expect((await opensslOpen(system, mail?.octets ?? Buffer.alloc(0), 'bob')).toString()).toContain(
      'the boathouse key',
    );
  });

  it('`sealgate cert list` shows it with issuer and validity', async () => {
    const { stdout } = await runProgram(process.execPath, [
      ...SEALGATE,
      'cert',
      'list',
      '--config',
      system.configFile,
      '--json',
    ]);
    const entries = JSON.parse(stdout.toString()) as {
      address: string;
      issuer: string;
      notAfter: string;
      trust: string;
    }[];
    const bob = entries.find(({ address }) => address === addressOf('bob'));
    expect(bob?.trust).toBe('verified');
    expect(bob?.issuer).toMatch(/CN=/);
    expect(Date.parse(bob?.notAfter ?? '')).toBeGreaterThan(Date.now());
    const text = await runProgram(process.execPath, [
      ...SEALGATE,
      'cert',
      'list',
      '--config',
      system.configFile,
    ]);
    expect(text.stdout.toString()).toContain(addressOf('bob'));
  });

  it('a certificate whose signature does not speak for From is not learned', async () => {
    // Mallory signs with her own key, then claims to be somebody else: the signature is good, the address is not hers.
    await system.send('mallory', { to: addressOf('alice'), subject: 'signed by mallory', text: 'hi' });
    const [signed] = system.taken();
    const forged = Buffer.from(
      (signed?.octets.toString('latin1') ?? '').replace(/^From: .*$/m, `From: ${addressOf('victim')}`),
      'latin1',
    );
    const { deliverByLmtp } = await import('../../src/evaluation/lmtp-delivery.ts');
    await deliverByLmtp(system.dovecot.lmtpPort, {
      reversePath: addressOf('mallory'),
      recipients: [addressOf('alice')],
      octets: forged,
      eightBit: false,
      smtpUtf8: false,
    });
    await system.read('alice');
    const { stdout } = await runProgram(process.execPath, [
      ...SEALGATE,
      'cert',
      'list',
      '--config',
      system.configFile,
      '--json',
    ]);
    expect(stdout.toString()).not.toContain('victim');
  });
});

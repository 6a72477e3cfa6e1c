import { afterEach, describe, expect, it } from 'vitest';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { Loopback } from '../revocation/support/loopback.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { crlOf } from './support/crl-of.ts';

const running: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
});

/** Mail to bob is encrypted, mail to alice is signed (opaque, so that her view says what was found). */
async function start(failure: 'soft' | 'hard'): Promise<{ system: MailSystem; server: Loopback }> {
  const server = await Loopback.start();
  running.push({ stop: () => server.close() });
  const system = await startMailSystem({
    users: ['alice', 'bob'],
    pinned: ['bob'],
    crl: server.url('/ca.crl'),
    revocation: { failure, allowAddresses: ['127.0.0.1'], allowPorts: [server.port] },
    rules: [
      { name: 'to-bob', when: { recipient: [addressOf('bob')] }, sign: 'require', encrypt: 'require' },
      { name: 'rest', sign: 'require', encrypt: 'never', form: 'opaque' },
    ],
  });
  running.push(system);
  return { system, server };
}

async function aliceReads(system: MailSystem): Promise<string> {
  const mails = await system.read('alice');
  return (
    mails
      .at(-1)
      ?.toString('latin1')
      .replace(/\r\n[ \t]+/g, ' ') ?? ''
  );
}

describe('M10: whether a certificate has been revoked', () => {
  it('soft: the list cannot be fetched, it is said, and mail goes on', async () => {
    const { system, server } = await start('soft');
    await system.send('bob', { to: addressOf('alice'), subject: 'one', text: 'hello' });
    const view = await aliceReads(system);
    expect(view).toContain('rev=unchecked');
    expect(view).toContain('verdict=trusted');
    await system.send('alice', { to: addressOf('bob'), subject: 'two', text: 'secret' });
    // Both certificates and both ways: the place that failed was asked once.
    expect(server.asked).toHaveLength(1);
    expect(system.events).toContainEqual(expect.objectContaining({ event: 'revocation.fetch-failed' }));
  });

  it('hard: mail is shown as not trusted, and nothing is encrypted to the certificate for now', async () => {
    const { system } = await start('hard');
    await system.send('bob', { to: addressOf('alice'), subject: 'one', text: 'hello' });
    const view = await aliceReads(system);
    expect(view).toContain('rev=unchecked');
    expect(view).toContain('verdict=untrusted');
    const sent = system.send('alice', { to: addressOf('bob'), subject: 'two', text: 'secret' });
    await expect(sent).rejects.toThrow(/4\.7\.5 .*revoked could not be checked just now.*HTTP status 404/);
    system.taken();
  });

  it('hard: with the list everything goes on', async () => {
    const { system, server } = await start('hard');
    server.gives('/ca.crl', await crlOf(system, []));
    await system.send('bob', { to: addressOf('alice'), subject: 'one', text: 'hello' });
    const view = await aliceReads(system);
    expect(view).toContain('rev=good');
    expect(view).toContain('verdict=trusted');
    expect(await system.send('alice', { to: addressOf('bob'), subject: 'two', text: 'secret' })).toMatch(
      /^250/,
    );
    expect(server.asked).toHaveLength(1);
  });

  it('a revoked certificate signs nothing, gets nothing and is not believed', async () => {
    const { system, server } = await start('soft');
    server.gives('/ca.crl', await crlOf(system, ['bob']));
    const { identity } = system.user('bob');
    const text = Buffer.from('Content-Type: text/plain\r\n\r\nhello\r\n');
    const signer = ['-signer', identity.certificateFile, '-inkey', identity.keyFile];
    const signed = await runProgram('openssl', ['cms', '-sign', '-nodetach', '-binary', ...signer], {
      input: text,
    });
    const header = `From: ${addressOf('bob')}\r\nTo: ${addressOf('alice')}\r\nSubject: stolen\r\n`;
    const octets = Buffer.from(
      (header + signed.stdout.toString('latin1')).replace(/\r?\n/g, '\r\n'),
      'latin1',
    );
    const recipients = [addressOf('alice')];
    const envelope = { reversePath: addressOf('bob'), recipients, octets, eightBit: false, smtpUtf8: false };
    await deliverByLmtp(system.dovecot.lmtpPort, envelope);
    const view = await aliceReads(system);
    expect(view).toContain('rev=revoked');
    expect(view).toContain('verdict=untrusted');
    const toBob = system.send('alice', { to: addressOf('bob'), subject: 'two', text: 'secret' });
    await expect(toBob).rejects.toThrow(/5\.7\.1 .*was revoked on/);
    const byBob = system.send('bob', { to: addressOf('alice'), subject: 'three', text: 'hello' });
    await expect(byBob).rejects.toThrow(/5\.7\.5 .*has been revoked and a new one is needed/);
  });
});

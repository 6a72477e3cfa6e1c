import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { addressOf, type MailSystem, opensslOpen, startMailSystem } from '../support/mail-system.ts';
import { aliceGets, found, signedBy } from './support/from-elsewhere.ts';
import { TakenLater } from './support/taken-later.ts';

/**
 * M13: an answer with a signed mail, so that both have each other's certificate. By hand two mails are written for that before the one
 * that matters; here the first mail waits, a signed note asks for the answer, and everything else goes by itself. Bob is somebody with
 * OpenSSL.
 */

let system: MailSystem;
let taken: TakenLater;

beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob'],
    withoutKeys: ['bob'],
    queue: {},
    rules: [
      {
        name: 'strict',
        ...{ sign: 'require', encrypt: 'require', withoutCertificate: 'hold', introduce: true },
      },
    ],
  });
  taken = new TakenLater(system);
});
afterAll(() => system?.stop());

const hers = () => join(system.folder, 'alice-from-the-note.pem');

describe('M13: answer with a signed mail', () => {
  it('the first mail to a stranger waits; he gets a note that alice has signed, and nothing of the mail', async () => {
    const text = 'the boathouse key';
    const reply = await system.send('alice', { to: addressOf('bob'), subject: 'harbour', text });
    expect(reply).toMatch(/^250 2\.\d\.\d .*bob@sealgate\.test/);
    const { octets, envelope } = await taken.next('bob');
    expect(envelope.recipients).toEqual([addressOf('bob')]);
    const verify = ['cms', '-verify', '-CAfile', system.pki.ca.certificateFile, '-signer', hers()];
    const { stdout } = await runProgram('openssl', verify, { input: octets });
    expect(stdout.toString()).toMatch(/sign/i);
    const { stdout: mailbox } = await runProgram('openssl', ['x509', '-in', hers(), '-noout', '-email']);
    expect(mailbox.toString().trim()).toBe(addressOf('alice'));
    expect(octets.toString()).toMatch(/^From: .*alice@sealgate\.test/m);
    expect(octets.toString()).not.toMatch(/boathouse|harbour/);
  });

  it('he answers signed, and encrypts to what the note has brought: alice reads it as ever', async () => {
    const bob = system.user('bob').identity;
    const signed = await signedBy(bob, 'Content-Type: text/plain\r\n\r\nyes, at seven\r\n');
    const encrypt = ['cms', '-encrypt', '-aes256', '-recip', hers()];
    const { stdout } = await runProgram('openssl', encrypt, { input: signed });
    const mail = await aliceGets(system, stdout);
    expect(found(mail)).toContain('verdict=trusted');
    expect(mail.toString()).toContain('yes, at seven');
  });

  it('by that alone the mail that waited leaves, encrypted to him', async () => {
    const { octets, envelope } = await taken.next('bob');
    expect(envelope.recipients).toEqual([addressOf('bob')]);
    expect(octets.toString()).not.toContain('boathouse');
    expect((await opensslOpen(system, octets, 'bob')).toString()).toContain('the boathouse key');
    // It is hers: the Sent folder of nobody else has it, and she can read it too.
    await writeFile(join(system.folder, 'released.eml'), octets);
    expect((await opensslOpen(system, octets, 'alice')).toString()).toContain('the boathouse key');
  });

  it('from now on mail to him leaves at once, and nobody is introduced again', async () => {
    const reply = await system.send('alice', {
      to: addressOf('bob'),
      subject: 'next',
      text: 'the second key',
    });
    expect(reply).toMatch(/^250 /);
    const { octets } = await taken.next('bob');
    expect((await opensslOpen(system, octets, 'bob')).toString()).toContain('the second key');
    expect(taken.more('bob')).toBe(0);
  });
});

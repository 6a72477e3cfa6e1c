import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import type { UserIdentity } from '../../src/evaluation/throwaway-pki.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { aliceGets, found, signedBy } from './support/from-elsewhere.ts';

/**
 * M18: the mail programs of both sides have different algorithms. By hand one tries settings until the other can read it; here what a
 * correspondent reads is known from her signed mail, her key or an administrator, and everything readable is read.
 */

const ENTITY = 'Content-Type: text/plain\r\n\r\nthe harbour at seven\r\n';

let system: MailSystem;
/** Two keys of alice in the gateway. */
let aliceRsa: UserIdentity;
let aliceCurve: UserIdentity;
/** Correspondents with OpenSSL. */
let bob: UserIdentity;
let carol: UserIdentity;
let dave: UserIdentity;

beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob', 'carol', 'dave'],
    withoutKeys: ['bob', 'carol', 'dave'],
    keys: async ({ pki, folder, users }) => {
      const [alice, daves] = [users.get('alice')?.identity, users.get('dave')?.identity];
      if (alice === undefined || daves === undefined) throw new Error('alice and dave are users');
      aliceRsa = alice;
      dave = daves;
      aliceCurve = await pki.issueUser({ address: addressOf('alice'), name: 'alice', keyType: 'p-256' });
      return Promise.all(
        Object.entries({ alice, curve: aliceCurve }).map(async ([name, { pkcs12File, password }]) => {
          const file = join(folder, `${name}.password`);
          await writeFile(file, password, { mode: 0o600 });
          return { name, kind: 'pkcs12', file: pkcs12File, password: { file } };
        }),
      );
    },
    furtherKeys: () => ['curve'],
    pinned: ['dave'],
    rules: [
      {
        name: 'old-program',
        when: { recipient: [addressOf('dave')] },
        ...{ sign: 'require', encrypt: 'require' },
        algorithms: { contentEncryption: 'aes128-cbc' },
      },
      { name: 'rest', sign: 'require', encrypt: 'require' },
    ],
  });
  bob = await system.pki.issueUser({ address: addressOf('bob'), name: 'bob', keyType: 'rsa-3072' });
  carol = await system.pki.issueUser({ address: addressOf('carol'), name: 'carol', keyType: 'p-384' });
});
afterAll(() => system?.stop());

/** What OpenSSL finds in a mail with somebody's key: what is signed inside. */
async function opened(mail: Buffer, { certificateFile, keyFile }: UserIdentity): Promise<string> {
  const key = ['-recip', certificateFile, '-inkey', keyFile];
  const { stdout } = await runProgram('openssl', ['cms', '-decrypt', ...key], { input: mail });
  const verify = ['cms', '-verify', '-CAfile', system.pki.ca.certificateFile];
  return (await runProgram('openssl', verify, { input: stdout })).stdout.toString();
}

async function structure(mail: Buffer): Promise<string> {
  const { stdout } = await runProgram('openssl', ['cms', '-cmsout', '-print'], { input: mail });
  return stdout.toString();
}

async function sent(...to: readonly string[]): Promise<Map<string, Buffer>> {
  const mail = { to: to.map(addressOf), subject: 'keys', text: 'the boathouse key' };
  await system.send('alice', mail);
  const byRecipient = new Map<string, Buffer>();
  for (const { envelope, octets } of system.taken()) {
    for (const recipient of envelope.recipients) byRecipient.set(recipient.replace(/@.*/, ''), octets);
  }
  return byRecipient;
}

describe('M18: different algorithms on both sides', () => {
  describe('everything readable is read', () => {
    it.each([
      ['RSA with SHA-256', () => bob, []],
      ['RSA with SHA-512', () => bob, ['-md', 'sha512']],
      ['RSA-PSS', () => bob, ['-keyopt', 'rsa_padding_mode:pss']],
      ['ECDSA on P-384', () => carol, ['-md', 'sha384']],
    ] as const)('signed: %s', async (_name, signer, options) => {
      const mail = await aliceGets(
        system,
        await signedBy(signer(), ENTITY, ['-nodetach', ...options]),
        signer().address,
      );
      expect(found(mail)).toContain('verdict=trusted');
      expect(mail.toString()).toContain('the harbour at seven');
    });

    it.each([
      ['AES-256-CBC', () => aliceRsa, ['-aes256'], 'no'],
      ['AES-128-CBC', () => aliceRsa, ['-aes128'], 'no'],
      ['Triple-DES, of old programs', () => aliceRsa, ['-des3'], 'no'],
      ['AES-256-GCM', () => aliceRsa, ['-aes-256-gcm'], 'yes'],
      ['RSA-OAEP', () => aliceRsa, ['-aes256', '-keyopt', 'rsa_padding_mode:oaep'], 'no'],
      ['ECDH on P-256', () => aliceCurve, ['-aes128'], 'no'],
    ] as const)('encrypted: %s', async (_name, reader, options, authenticated) => {
      const signed = await signedBy(bob, ENTITY);
      const recipient = ['-recip', reader().certificateFile];
      const [cipher, ...keyOptions] = options;
      const encrypt = ['cms', '-encrypt', cipher, ...recipient, ...keyOptions];
      const { stdout } = await runProgram('openssl', encrypt, { input: signed });
      const mail = await aliceGets(system, stdout);
      expect(found(mail)).toContain(`aead=${authenticated}`);
      expect(found(mail)).toContain('verdict=trusted');
      expect(mail.toString()).toContain('the harbour at seven');
    });
  });

  describe('what is sent, the other side reads', () => {
    it('those who have said by mail what they read get the best that all of them do', async () => {
      const mails = await sent('bob', 'carol');
      const [forBob, forCarol] = [mails.get('bob') ?? Buffer.alloc(0), mails.get('carol') ?? Buffer.alloc(0)];
      // OpenSSL announces AES-256-CBC and no GCM.
      expect(forBob.equals(forCarol)).toBe(true);
      expect(await opened(forBob, bob)).toContain('the boathouse key');
      expect(await opened(forCarol, carol)).toContain('the boathouse key');
      const said = await structure(forBob);
      expect(said).toContain('aes-256-cbc');
      expect(said).toMatch(/d\.kari/);
      expect(said).toMatch(/d\.ktri/);
    });

    it('what an administrator has pinned for an old program counts for it, and for nobody else', async () => {
      const mails = await sent('bob', 'dave');
      const forDave = mails.get('dave') ?? Buffer.alloc(0);
      expect(await opened(forDave, dave)).toContain('the boathouse key');
      expect(await structure(forDave)).toContain('aes-128-cbc');
      expect(await structure(mails.get('bob') ?? Buffer.alloc(0))).toContain('aes-256-cbc');
    });

    it('`sealgate policy explain` says which algorithms, and why', async () => {
      const addresses = ['--from', addressOf('alice'), '--to', addressOf('bob'), addressOf('dave')];
      const { stdout } = await runProgram(process.execPath, [
        ...['src/main.ts', 'policy', 'explain', ...addresses, '--config', system.configFile, '--json'],
      ]);
      const { messages } = JSON.parse(stdout.toString()) as {
        messages: { recipients: string[]; encryption: { content: string; because: string } }[];
      };
      const of = (name: string) => messages.find(({ recipients }) => recipients.includes(addressOf(name)));
      expect(of('bob')?.encryption.content).toBe('aes256-cbc');
      expect(of('dave')?.encryption.content).toBe('aes128-cbc');
      expect(of('dave')?.encryption.because).not.toBe(of('bob')?.encryption.because);
    });
  });
});

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { addressOf, type MailSystem, opensslVerify, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { SoftHsm, TokenKey } from '../support/services/softhsm.ts';

/**
 * Alice has two mailboxes, as cards have it: one certificate to sign and another one to encrypt to. A profile says which of
 * them, and by which algorithm, for one address; the other address has what is usual.
 */

const OFFICE = 'office@sealgate.test';
const keys = new Map<string, TokenKey>();
let token: Started<SoftHsm>;
let system: MailSystem;

beforeAll(async () => {
  token = await services.softhsm();
  system = await startMailSystem({
    users: ['alice', 'bob'],
    pinned: ['bob'],
    async keys({ pki, folder, users }) {
      const generate = async (label: string, address: string, use: 'sign' | 'encrypt' | 'sign-and-encrypt') =>
        keys.set(label, await token.generateKey(pki, { address, label, use }));
      await generate('Signature', addressOf('alice'), 'sign');
      await generate('Encryption', addressOf('alice'), 'encrypt');
      await generate('Office 1', OFFICE, 'sign-and-encrypt');
      await generate('Office 2', OFFICE, 'sign-and-encrypt');
      const pin = join(folder, 'token.pin');
      await writeFile(pin, token.pin, { mode: 0o600 });
      const password = join(folder, 'bob.secret');
      const bob = users.get('bob')?.identity;
      await writeFile(password, bob?.password ?? '', { mode: 0o600 });
      const { module, tokenLabel, env } = token;
      return [
        { name: 'hsm', kind: 'pkcs11', module, token: tokenLabel, pin: { file: pin }, environment: env },
        { name: 'bob', kind: 'pkcs12', file: bob?.pkcs12File, password: { file: password } },
      ];
    },
    keyOf: (name) => (name === 'alice' ? 'hsm' : name),
    principal: (name) =>
      name === 'alice'
        ? {
            addresses: [addressOf('alice'), OFFICE],
            profiles: [
              { address: OFFICE, sign: 'hsm/Office 1', encrypt: 'hsm/Office 2', rsaSignature: 'pss' },
            ],
          }
        : {},
    rules: [{ name: 'all', sign: 'require', encrypt: 'never' }],
  });
});
afterAll(async () => {
  await system?.stop();
  await token?.stop();
});

/** Who signed, by which algorithm, and which certificate the signature asks others to encrypt to, as OpenSSL shows it. */
async function sentFrom(
  address: string,
): Promise<{ text: string; signer: string; preferred: string; printed: string }> {
  system.taken();
  await system.send('alice', { from: address, to: addressOf('bob'), subject: 'M4', text: `from ${address}` });
  const octets = system.taken()[0]?.octets ?? Buffer.alloc(0);
  const text = (await opensslVerify(system, octets)).toString();
  const printed = (
    await runProgram('openssl', ['cms', '-cmsout', '-print', '-noout', '-nameopt', 'utf8'], { input: octets })
  ).stdout.toString();
  const signerInfo = printed.slice(printed.indexOf('signerInfos:'));
  const signer = serialAfter(signerInfo, 'serialNumber:');
  const preferred = octetsOf(printed, 'id-smime-aa-encrypKeyPref');
  return { text, signer, preferred, printed: signerInfo };
}

function serialAfter(text: string, word: string): string {
  return /^\s*(\S+)/.exec(text.slice(text.indexOf(word) + word.length))?.[1] ?? '';
}

/** The attribute as OpenSSL dumps it; the serial number is at its end. */
function octetsOf(printed: string, attribute: string): string {
  const at = printed.indexOf(attribute);
  return at < 0 ? '' : printed.slice(at, at + 2500);
}

async function serial(label: string): Promise<{ decimal: string; hexadecimal: string }> {
  const { stdout } = await runProgram('openssl', ['x509', '-noout', '-serial'], {
    input: Buffer.from(keys.get(label)?.certificate ?? ''),
  });
  const hexadecimal = stdout.toString().trim().replace('serial=', '');
  return { decimal: BigInt(`0x${hexadecimal}`).toString(), hexadecimal };
}

async function expectSerial(found: string, label: string): Promise<void> {
  const { decimal, hexadecimal } = await serial(label);
  expect([decimal, `0x${hexadecimal}`]).toContain(found);
}

describe('M4: a security profile for each mailbox', () => {
  it('without a profile the certificate that may sign signs, and the one for encryption is told to others', async () => {
    const mail = await sentFrom(addressOf('alice'));
    expect(mail.text).toContain(`from ${addressOf('alice')}`);
    await expectSerial(mail.signer, 'Signature');
    expect(mail.preferred).toContain((await serial('Encryption')).hexadecimal);
    expect(mail.printed).toContain('rsaEncryption');
  });

  it('with a profile its key signs by its algorithm, though another one fits as well', async () => {
    const mail = await sentFrom(OFFICE);
    expect(mail.text).toContain(`from ${OFFICE}`);
    await expectSerial(mail.signer, 'Office 1');
    expect(mail.preferred).toContain((await serial('Office 2')).hexadecimal);
    expect(mail.printed).toContain('rsassaPss');
  });

  it('an answer that is encrypted to the certificate of the profile is opened', async () => {
    const file = join(system.folder, 'office2.pem');
    await writeFile(file, keys.get('Office 2')?.certificate ?? '');
    const entity = Buffer.from('Content-Type: text/plain\r\n\r\nanswer to the office\r\n');
    const { stdout } = await runProgram('openssl', ['cms', '-encrypt', '-aes-256-cbc', file], {
      input: entity,
    });
    const raw = `From: ${addressOf('bob')}\r\nTo: ${OFFICE}\r\nSubject: answer\r\n${stdout.toString()}`;
    await system.send('bob', {
      envelope: { from: addressOf('bob'), to: addressOf('alice') },
      raw: raw.replace(/\r?\n/g, '\r\n'),
    });
    const [view] = (await system.read('alice')).slice(-1);
    expect(view?.toString()).toContain('answer to the office');
  });
});

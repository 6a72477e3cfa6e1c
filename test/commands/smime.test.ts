import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createThrowawayPki,
  type ThrowawayPki,
  type UserIdentity,
} from '../../src/evaluation/throwaway-pki.ts';

const MAIL = [
  'From: Alice <alice@sealgate.test>',
  'To: bob@sealgate.test',
  'Subject: The secret plan',
  'Date: Sun, 22 Nov 2026 04:00:00 +0000',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
  '',
  'Grüße am Morgen',
  '',
].join('\r\n');

let folder: string;
let pki: ThrowawayPki;
let alice: UserIdentity;
let bob: UserIdentity;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-smime-command-'));
  pki = await createThrowawayPki(join(folder, 'pki'));
  alice = await pki.issueUser({ address: 'alice@sealgate.test', password: 'right' });
  bob = await pki.issueUser({ address: 'bob@sealgate.test', keyType: 'p-256' });
  await writeFile(file('mail.eml'), MAIL);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const file = (name: string) => join(folder, name);

async function sealgate(
  args: readonly string[],
  input = '',
  passphrase = '',
): Promise<{ code: number; out: string; error: string }> {
  const env = { ...process.env, SEALGATE_PASSPHRASE: passphrase, SEALGATE_CONFIG: '' };
  const child = spawn(process.execPath, [resolve('src/main.ts'), 'smime', ...args], { cwd: folder, env });
  const ended = { code: -1, out: '', error: '' };
  child.stdout.on('data', (text: Buffer) => (ended.out += text.toString()));
  child.stderr.on('data', (text: Buffer) => (ended.error += text.toString()));
  child.stdin.end(input);
  [ended.code] = (await once(child, 'close')) as [number];
  return ended;
}

function openssl(...args: readonly string[]): { status: number | null; out: string } {
  const { status, stdout } = spawnSync('openssl', args, { cwd: folder });
  return { status, out: stdout.toString() };
}

const alicePem = () => ['--key', alice.keyFile, '--certificate', alice.certificateFile];
const bobPem = () => ['--key', bob.keyFile, '--certificate', bob.certificateFile];
const trusting = () => ['--anchor', pki.ca.certificateFile];

describe('sealgate smime', () => {
  it.each([
    ['clear', []],
    ['opaque', ['--opaque']],
  ])('signs (%s) what openssl verifies, and reports on it check by check', async (form, options) => {
    const signed = await sealgate(['sign', '--key', alice.pkcs12File, ...options], MAIL, 'right');
    expect(signed).toMatchObject({ code: 0, error: '' });
    await writeFile(file(`${form}.eml`), signed.out);
    const { status, out } = openssl(
      'cms',
      '-verify',
      '-in',
      `${form}.eml`,
      '-CAfile',
      pki.ca.certificateFile,
    );
    expect(status).toBe(0);
    expect(out).toContain('Gr=C3=BC=C3=9Fe am Morgen');

    const report = await sealgate(['verify', `${form}.eml`, ...trusting(), '--json']);
    expect(report.code).toBe(0);
    expect(JSON.parse(report.out)).toMatchObject({
      verdict: { kind: 'trusted' },
      layers: [
        {
          kind: 'signed',
          form,
          signatures: [
            {
              signature: 'good',
              signer: { mailboxes: ['alice@sealgate.test'] },
              path: { outcome: 'valid' },
              speaksFor: 'from',
            },
          ],
        },
      ],
      headerProtection: { kind: 'clear', signed: true },
    });
  });

  it('says what is wrong with a changed mail, and ends with 1', async () => {
    const { out } = await sealgate(['sign', ...alicePem()], MAIL);
    const report = await sealgate(['verify', ...trusting()], out.replace('Morgen', 'Abend'));
    expect(report.code).toBe(1);
    expect(report.out).toMatch(/check +message-digest: failed/);
    expect(report.out).toMatch(/verdict +broken/);
  });

  it('signs and encrypts for all recipients what openssl opens, and hides the Subject', async () => {
    const to = ['--to', alice.certificateFile, bob.certificateFile];
    const made = await sealgate(['encrypt', 'mail.eml', ...alicePem(), ...to, '-o', 'sealed.eml']);
    expect(made).toMatchObject({ code: 0, error: '' });
    const sealed = await readFile(file('sealed.eml'), 'latin1');
    expect(sealed).toContain('Subject: [...]\r\n');
    expect(sealed).not.toContain('secret');
    for (const { certificateFile, keyFile } of [alice, bob]) {
      const opened = openssl(
        'cms',
        '-decrypt',
        '-in',
        'sealed.eml',
        '-recip',
        certificateFile,
        '-inkey',
        keyFile,
      );
      expect(opened.status).toBe(0);
      expect(opened.out).toContain('Subject: The secret plan');
    }
    const report = await sealgate(['verify', 'sealed.eml', ...bobPem(), ...trusting()]);
    expect(report.code).toBe(0);
    expect(report.out).toMatch(/encrypted +aes256-cbc/);
    expect(report.out).toMatch(/verdict +trusted/);

    const opened = await sealgate(['decrypt', 'sealed.eml', ...bobPem(), '-o', 'plain.eml']);
    expect(opened).toMatchObject({ code: 0, error: '' });
    const plain = await readFile(file('plain.eml'), 'latin1');
    expect(plain.match(/^Subject:.*/gm)).toEqual(['Subject: The secret plan']);
    expect(plain.match(/^From:.*/gm)).toHaveLength(1);
    expect((await stat(file('plain.eml'))).mode & 0o777).toBe(0o600);
  });

  it('hides no Subject of a message that is signed already, whose readers would not find it', async () => {
    const { out } = await sealgate(['sign', ...alicePem()], MAIL);
    const again = await sealgate(['encrypt', ...alicePem(), '--to', bob.certificateFile], out);
    expect(again).toMatchObject({ code: 0, error: '' });
    expect(again.out).toContain('Subject: The secret plan\r\n');
    const opened = await sealgate(['decrypt', ...bobPem()], again.out);
    expect(opened.out.match(/^Subject:.*$/gm)?.map((line) => line.trim())).toContain(
      'Subject: The secret plan',
    );
    expect(opened.out).not.toContain('[...]');
  });

  it('opens what openssl encrypted, and shows no header field of the entity as one of the mail', async () => {
    const inside = 'From: mallory@sealgate.test\r\nContent-Type: text/plain\r\n\r\nhello\r\n';
    await writeFile(file('inside.eml'), inside);
    openssl(
      ...['cms', '-encrypt', '-in', 'inside.eml', '-out', 'by-openssl.eml', '-aes-128-cbc'],
      ...['-from', 'alice@sealgate.test', alice.certificateFile],
    );
    const { code, out } = await sealgate(['decrypt', 'by-openssl.eml', ...alicePem()]);
    expect(code).toBe(0);
    expect(out).toContain('\r\n\r\nhello');
    expect(out.match(/^From:.*/gm)?.map((line) => line.trim())).toEqual(['From: alice@sealgate.test']);
  });

  it('writes nothing where a mail cannot be opened, and says why', async () => {
    await sealgate(['encrypt', 'mail.eml', '--to', bob.certificateFile, '-o', 'for-bob.eml']);
    const before = await readdir(folder);
    const without = await sealgate(['decrypt', 'for-bob.eml', ...alicePem(), '-o', 'never.eml']);
    expect(without).toMatchObject({ code: 1, out: '' });
    expect(without.error).toContain('none of the keys is for it');
    const report = await sealgate(['verify', 'for-bob.eml', ...alicePem()]);
    expect(report.code).toBe(1);
    expect(report.out).toMatch(/verdict +untrusted: The mail is encrypted/);
    const text = await readFile(file('for-bob.eml'), 'latin1');
    const [header = '', body = ''] = text.split('\r\n\r\n');
    await writeFile(file('cut.eml'), `${header}\r\n\r\n${body.slice(0, 400)}`);
    const cut = await sealgate(['decrypt', 'cut.eml', ...bobPem(), '-o', 'never.eml']);
    expect(cut).toMatchObject({ code: 1, out: '' });
    expect(cut.error).toContain('damaged');
    expect((await readdir(folder)).filter((name) => name !== 'cut.eml')).toEqual(before);
  });

  it('encrypts to people and not to those who issued their certificates, and to nobody whose certificate forbids it', async () => {
    const chain = [bob.certificateFile, pki.ca.certificateFile].map((name) => readFile(name, 'utf8'));
    await writeFile(file('chain.pem'), (await Promise.all(chain)).join(''));
    const made = await sealgate(['encrypt', 'mail.eml', '--to', 'chain.pem', '-o', 'to-chain.eml']);
    expect(made).toMatchObject({ code: 0, error: '' });
    const { out } = openssl('cms', '-cmsout', '-print', '-in', 'to-chain.eml');
    expect(out.match(/d\.(?:ktri|kari)|recipientEncryptedKeys/g)?.length).toBe(2);
    openssl(
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'only.key', '-out', 'only.pem'],
      ...['-subj', '/CN=Bob', '-addext', 'keyUsage=digitalSignature'],
    );
    const refused = await sealgate(['encrypt', 'mail.eml', '--to', 'only.pem', '-o', 'never.eml']);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.error).toContain('key usage of this certificate does not include encryption');
    const ca = await sealgate(['encrypt', 'mail.eml', '--to', pki.ca.certificateFile, '-o', 'never.eml']);
    expect(ca).toMatchObject({ code: 1, out: '' });
  });

  it('trusts nothing that it cannot open, whoever has signed around it', async () => {
    const type = 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m';
    const damaged = `From: alice@sealgate.test\r\n${type}\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n`;
    const signed = await sealgate(['sign', ...alicePem()], damaged);
    expect(signed.code).toBe(0);
    const report = await sealgate(['verify', ...trusting()], signed.out);
    expect(report.code).toBe(1);
    expect(report.out).toMatch(/verdict +broken/);
  });

  it('puts no file in the place of a device or a pipe', async () => {
    expect(spawnSync('mkfifo', [file('pipe')]).status).toBe(0);
    const { code, error } = await sealgate(['sign', 'mail.eml', ...alicePem(), '-o', 'pipe']);
    expect(code).toBe(1);
    expect(error).toContain('pipe cannot be written: it is no ordinary file');
    expect((await stat(file('pipe'))).isFIFO()).toBe(true);
  });

  it.each([
    ['no key', ['sign', 'mail.eml'], /no key to sign with/],
    ['a wrong passphrase', ['sign', 'mail.eml', '--key', 'ALICE'], /The password is not the right one/],
    [
      'a file that is not there',
      ['verify', 'nowhere.eml'],
      /nowhere\.eml cannot be read: it or its folder does not exist/,
    ],
    ['no certificate', ['encrypt', 'mail.eml', '--to', 'mail.eml'], /mail\.eml holds no certificate/],
    [
      'a folder that is not there',
      ['encrypt', 'mail.eml', '--to', 'BOB', '-o', 'no/where.eml'],
      /no\/where\.eml cannot be written/,
    ],
  ])('names what is wrong: %s', async (_, args, sentence) => {
    const named = args.map((each) =>
      each === 'ALICE' ? alice.pkcs12File : each === 'BOB' ? bob.certificateFile : each,
    );
    const { code, out, error } = await sealgate(named, '', 'open-sesame');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(error).toMatch(sentence);
    expect(error).not.toMatch(/open-sesame|at .*\.ts:/);
  });
});

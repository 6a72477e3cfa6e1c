import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import type { ServerIdentity, ThrowawayPki, UserIdentity } from '../../src/evaluation/throwaway-pki.ts';
import { requireCommand } from '../support/require-command.ts';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';

let pki: Started<ThrowawayPki>;
let openssl: string;

beforeAll(async () => {
  pki = await services.pki();
  openssl = await requireCommand('openssl');
});

afterAll(() => pki.stop());

describe('the throwaway certification authority', () => {
  test.each([
    ['sign-and-encrypt', 'rsa-2048', 'Digital Signature, Key Encipherment'],
    ['sign', 'rsa-2048', 'Digital Signature'],
    ['encrypt', 'rsa-2048', 'Key Encipherment'],
    ['sign-and-encrypt', 'p-256', 'Digital Signature, Key Agreement'],
    ['encrypt', 'p-384', 'Key Agreement'],
  ] as const)('a certificate to %s with %s says so (RFC 8550 §4.4.2)', async (use, keyType, usage) => {
    const user = await pki.issueUser({ address: 'user@example.test', use, keyType });
    const text = await opensslText(user.certificateFile);
    expect(text).toContain(`Key Usage: critical\n                ${usage}\n`);
    expect(text).toContain('Extended Key Usage: \n                E-mail Protection\n');
    const certificate = new X509Certificate(user.certificate);
    expect(certificate.checkPrivateKey(createPrivateKey(user.key))).toBe(true);
  });

  test('an address beyond ASCII is a SmtpUTF8Mailbox (RFC 9598 §3)', async () => {
    const user = await pki.issueUser({ address: 'jürgen@example.test' });
    const { stdout } = await runProgram(openssl, ['x509', '-in', user.certificateFile, '-noout', '-text']);
    expect(stdout.toString('utf8')).toContain('othername: SmtpUTF8Mailbox::jürgen@example.test');
  });

  test('keys are readable by nobody else, and a PKCS#12 file opens with its password only', async () => {
    const user = await pki.issueUser({ address: 'secret@example.test', password: 'right: "one"' });
    await pki.issueServer();
    expect((await stat(pki.folder)).mode & 0o777).toBe(0o700);
    const names = await readdir(pki.folder);
    const secret = names.filter((name) => /\.(key|p12)$/.test(name));
    expect(secret.length).toBeGreaterThan(3);
    for (const name of secret) expect((await stat(join(pki.folder, name))).mode & 0o777, name).toBe(0o600);
    // What openssl was asked with does not stay.
    expect(names.filter((name) => name.startsWith('request-'))).toEqual([]);
    const open = (password: string) =>
      runProgram(openssl, ['pkcs12', '-in', user.pkcs12File, '-nokeys', '-passin', 'stdin'], {
        input: `${password}\n`,
      });
    expect((await open('right: "one"')).stdout.toString()).toContain('BEGIN CERTIFICATE');
    await expect(open('wrong')).rejects.toThrow('openssl failed');
  });

  test('two certificates for one address are two sets of files', async () => {
    const [first, second] = [
      await pki.issueUser({ address: 'twice@example.test' }),
      await pki.issueUser({ address: 'twice@example.test' }),
    ];
    expect(first.certificateFile).not.toBe(second.certificateFile);
    expect(new X509Certificate(first.certificate).serialNumber).not.toBe(
      new X509Certificate(second.certificate).serialNumber,
    );
  });

  test('so are those that are issued at the same moment', async () => {
    const issued = await Promise.all(
      ['one', 'two', 'three', 'four'].flatMap((name) => [
        pki.issueServer([`${name}.example`]),
        pki.issueUser({ address: 'at-once@example.test', name }),
      ]),
    );
    const files = issued.map((one) => ({ keyFile: one.keyFile, ...certificateOf(one) }));
    for (const { keyFile, file, certificate } of files) {
      const [key, written] = await Promise.all([readFile(keyFile, 'utf8'), readFile(file, 'utf8')]);
      expect(written).toBe(certificate);
      expect(new X509Certificate(written).checkPrivateKey(createPrivateKey(key))).toBe(true);
    }
    expect(new Set(files.map(({ keyFile }) => keyFile)).size).toBe(8);
  });

  test.each([
    'a@b\nbasicConstraints = CA:TRUE',
    'a@b,DNS:evil.test',
    '$ENV::HOME@example.test',
    'a b@example.test',
    'a@example.test;x',
    'no-address',
    '',
  ])('the address %j cannot say more in a certificate than an address', async (address) => {
    await expect(pki.issueUser({ address })).rejects.toThrow('give a plain mail address');
  });

  test('a name cannot add parts to the subject', async () => {
    const user = await pki.issueUser({ address: 'n@example.test', name: 'A/CN=B+O=C' });
    expect(new X509Certificate(user.certificate).subject).toBe('O=Sealgate throwaway\nCN=A/CN=B\\+O=C');
    await expect(pki.issueUser({ address: 'n@example.test', name: 'a\nb' })).rejects.toThrow(
      'not an ASCII name',
    );
  });
});

function certificateOf(one: UserIdentity | ServerIdentity): { file: string; certificate: string } {
  return 'cert' in one
    ? { file: one.certFile, certificate: one.cert }
    : { file: one.certificateFile, certificate: one.certificate };
}

async function opensslText(file: string): Promise<string> {
  return (await runProgram(openssl, ['x509', '-in', file, '-noout', '-text'])).stdout.toString('utf8');
}

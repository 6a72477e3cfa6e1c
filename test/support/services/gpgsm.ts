import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import type { ThrowawayPki, UserIdentity } from '../../../src/evaluation/throwaway-pki.ts';
import { requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';

/** GnuPG's S/MIME with a home folder of its own: no dirmngr, no pinentry, the throwaway CA trusted. */
export type Gpgsm = {
  readonly folder: string;
  /** Makes the identity's key usable for signing and decrypting. */
  importIdentity(identity: UserIdentity): Promise<void>;
  /** A correspondent's certificate, PEM or DER. */
  importCertificate(certificate: string | Buffer): Promise<void>;
  /** SignedData, DER; `detached` leaves the content out. */
  sign(signer: string, content: Buffer, options?: { detached?: boolean }): Promise<Buffer>;
  /**
   * Checks an opaque SignedData, or a detached one against its content.
   *
   * @returns gpgsm's status lines (`GOODSIG …`, `TRUST_FULLY …`); fails when gpgsm does.
   */
  verify(signed: Buffer, detachedContent?: Buffer): Promise<string[]>;
  /** EnvelopedData, DER. */
  encrypt(recipients: readonly string[], content: Buffer): Promise<Buffer>;
  decrypt(enveloped: Buffer): Promise<Buffer>;
};

/** Of the keys in gpgsm's own store. */
const PASSPHRASE = 'throwaway';

export async function gpgsm(pki: ThrowawayPki): Promise<Started<Gpgsm>> {
  const program = await requireCommand('gpgsm');
  const openssl = await requireCommand('openssl');
  const gpgconf = await requireCommand('gpgconf');
  const { folder, remove } = await temporaryFolder('gpgsm');
  const env = { GNUPGHOME: folder, HOME: folder };
  await writeFile(join(folder, 'gpg-agent.conf'), 'allow-loopback-pinentry\n');
  // RFC 5280 revocation has tests of its own; the throwaway CA publishes no lists.
  await writeFile(
    join(folder, 'gpgsm.conf'),
    'disable-crl-checks\ndisable-dirmngr\nno-common-certs-import\n',
  );

  // Every private-key operation asks for the passphrase; content goes in by file, so that standard input can answer.
  const run = async (args: string[]): Promise<{ stdout: Buffer; stderr: string }> =>
    runProgram(
      program,
      [
        '--batch',
        '--no-tty',
        '--status-fd',
        '2',
        '--pinentry-mode',
        'loopback',
        '--passphrase-fd',
        '0',
        ...args,
      ],
      { env, input: `${PASSPHRASE}\n` },
    );
  let count = 0;
  const toFile = async (content: string | Buffer): Promise<string> => {
    const file = join(folder, `input-${count++}`);
    await writeFile(file, content, { mode: 0o600 });
    return file;
  };

  await run(['--import', pki.ca.certificateFile]);
  const authority = new X509Certificate(pki.ca.certificate);
  await writeFile(join(folder, 'trustlist.txt'), `${authority.fingerprint.replaceAll(':', '')} S relax\n`);

  return started<Gpgsm>({
    folder,
    async importIdentity(identity) {
      const pkcs12 = join(folder, `identity-${count++}.p12`);
      await runProgram(
        openssl,
        [
          ...['pkcs12', '-export', '-inkey', identity.keyFile, '-in', identity.certificateFile],
          // GnuPG 2.2 reads no PBES2 of OpenSSL's making.
          ...['-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-3DES', '-macalg', 'sha1'],
          ...['-passout', 'stdin', '-out', pkcs12],
        ],
        { input: `${PASSPHRASE}\n` },
      );
      await run(['--import', pkcs12]);
    },
    async importCertificate(certificate) {
      await run(['--import', await toFile(certificate)]);
    },
    async sign(signer, content, options = {}) {
      const detached = options.detached === true ? '--detach-sign' : '--sign';
      return (await run(['--local-user', signer, detached, await toFile(content)])).stdout;
    },
    async verify(signed, detachedContent) {
      const files = [await toFile(signed)];
      if (detachedContent !== undefined) files.push(await toFile(detachedContent));
      const { stderr } = await run(['--verify', ...files]);
      return statusLines(stderr);
    },
    async encrypt(recipients, content) {
      const to = recipients.flatMap((recipient) => ['--recipient', recipient]);
      return (await run([...to, '--encrypt', await toFile(content)])).stdout;
    },
    async decrypt(enveloped) {
      return (await run(['--decrypt', await toFile(enveloped)])).stdout;
    },
    async stop() {
      await runProgram(gpgconf, ['--kill', 'all'], { env });
      await runProgram(gpgconf, ['--remove-socketdir'], { env });
      await remove();
    },
  });
}

function statusLines(stderr: string): string[] {
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('[GNUPG:] '))
    .map((line) => line.slice('[GNUPG:] '.length));
}

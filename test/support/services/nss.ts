import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import type { ThrowawayPki, UserIdentity } from '../../../src/evaluation/throwaway-pki.ts';
import { requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';

/** NSS (the S/MIME of Thunderbird) by its `cmsutil`, with a certificate database of its own that trusts the throwaway CA. */
export type Nss = {
  readonly folder: string;
  importIdentity(identity: UserIdentity): Promise<void>;
  /** A correspondent's certificate, PEM. */
  importCertificate(address: string, certificate: string): Promise<void>;
  /** SignedData, DER, by the identity with this address; `detached` leaves the content out. */
  sign(signer: string, content: Buffer, options?: { detached?: boolean }): Promise<Buffer>;
  /** Opens or verifies a message of any type and gives back its content; fails when NSS finds fault. */
  decode(message: Buffer, detachedContent?: Buffer): Promise<Buffer>;
  /** EnvelopedData, DER. */
  encrypt(recipients: readonly string[], content: Buffer): Promise<Buffer>;
};

export async function nss(pki: ThrowawayPki): Promise<Started<Nss>> {
  const certutil = await requireCommand('certutil');
  const cmsutil = await requireCommand('cmsutil');
  const pk12util = await requireCommand('pk12util');
  const { folder, remove } = await temporaryFolder('nss');
  const database = ['-d', `sql:${folder}`];
  let count = 0;
  const toFile = async (content: string | Buffer): Promise<string> => {
    const file = join(folder, `input-${count++}`);
    await writeFile(file, content, { mode: 0o600 });
    return file;
  };
  await runProgram(certutil, ['-N', ...database, '--empty-password']);
  await runProgram(certutil, [
    ...['-A', ...database, '-n', 'throwaway-ca', '-t', 'CT,C,C', '-a', '-i', pki.ca.certificateFile],
  ]);
  return started<Nss>({
    folder,
    async importIdentity(identity) {
      const password = await toFile(identity.password);
      await runProgram(pk12util, ['-i', identity.pkcs12File, ...database, '-w', password, '-K', '']);
    },
    async importCertificate(address, certificate) {
      await runProgram(certutil, [
        '-A',
        ...database,
        '-n',
        address,
        '-t',
        ',,',
        '-a',
        '-i',
        await toFile(certificate),
      ]);
    },
    async sign(signer, content, options = {}) {
      // -G adds the signing time, without which NSS itself is content but others are not.
      const detached = options.detached === true ? ['-T'] : [];
      const args = [
        '-S',
        ...database,
        '-N',
        signer,
        '-G',
        '-H',
        'SHA256',
        ...detached,
        '-i',
        await toFile(content),
      ];
      return (await runProgram(cmsutil, args)).stdout;
    },
    async decode(message, detachedContent) {
      const content = detachedContent === undefined ? [] : ['-c', await toFile(detachedContent)];
      return (await runProgram(cmsutil, ['-D', ...database, ...content, '-i', await toFile(message)])).stdout;
    },
    async encrypt(recipients, content) {
      const args = ['-E', ...database, '-r', recipients.join(','), '-i', await toFile(content)];
      return (await runProgram(cmsutil, args)).stdout;
    },
    stop: remove,
  });
}

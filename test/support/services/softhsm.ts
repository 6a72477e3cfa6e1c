import { createPublicKey } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import type { KeyUse, ThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { firstFile, requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';
import { type TestToken, testToken } from './test-token.ts';

/**
 * A SoftHSM2 token in a folder of its own. Keys are generated inside it (never extractable) and their certificates are
 * issued for the public key alone, so no private key of it was ever outside.
 */
export type SoftHsm = TestToken & {
  readonly soPin: string;
  /** Generates a key pair in the token, has it certified and writes the certificate to the token. */
  generateKey(pki: ThrowawayPki, request: TokenKeyRequest): Promise<TokenKey>;
  /** What `pkcs11-tool --list-objects` says after login. */
  listObjects(): Promise<string>;
};

export type TokenKeyRequest = {
  address: string;
  type?: 'rsa-2048' | 'rsa-3072' | 'p-256' | 'p-384';
  use?: KeyUse;
  label?: string;
};

export type TokenKey = {
  address: string;
  label: string;
  /** CKA_ID, hexadecimal. */
  id: string;
  /** PEM. */
  certificate: string;
};

const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
];

const KEY_TYPES = {
  'rsa-2048': 'rsa:2048',
  'rsa-3072': 'rsa:3072',
  'p-256': 'EC:prime256v1',
  'p-384': 'EC:secp384r1',
} as const;

export async function softhsm(options: { tokenLabel?: string } = {}): Promise<Started<SoftHsm>> {
  const tool = await requireCommand('pkcs11-tool');
  const module = firstFile(MODULES, 'The PKCS#11 module libsofthsm2.so', 'softhsm2');
  const { folder, remove } = await temporaryFolder('softhsm');
  const tokenLabel = options.tokenLabel ?? 'sealgate';
  // Long enough to be nowhere by chance: tests search whole processes for it.
  const pin = 'pin-4711-of-softhsm';
  const soPin = 'so-pin-4711-of-softhsm';
  const env = { SOFTHSM2_CONF: join(folder, 'softhsm2.conf') };
  await mkdir(join(folder, 'tokens'), { mode: 0o700 });
  await writeFile(
    env.SOFTHSM2_CONF,
    `directories.tokendir = ${join(folder, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n`,
  );
  // PINs by environment: arguments are for everybody to read.
  const run = async (...args: string[]): Promise<Buffer> => {
    const secrets = { USER_PIN: pin, SO_PIN: soPin };
    return (await runProgram(tool, ['--module', module, ...args], { env: { ...env, ...secrets } })).stdout;
  };
  const loggedIn = (...args: string[]): Promise<Buffer> =>
    run('--token-label', tokenLabel, '--login', '--pin', 'env:USER_PIN', ...args);

  await run('--init-token', '--slot-index', '0', '--label', tokenLabel, '--so-pin', 'env:SO_PIN');
  await run(
    ...['--token-label', tokenLabel, '--init-pin', '--login', '--so-pin', 'env:SO_PIN'],
    ...['--pin', 'env:USER_PIN'],
  );

  let count = 0;
  return started<SoftHsm>({
    ...testToken({ module, env, tokenLabel, pin }),
    soPin,
    async generateKey(pki, request) {
      const type = request.type ?? 'rsa-2048';
      const id = (0xa0 + count++).toString(16);
      const label = request.label ?? request.address;
      const usages = type.startsWith('rsa')
        ? ['--usage-sign', '--usage-decrypt']
        : ['--usage-sign', '--usage-derive'];
      await loggedIn('--keypairgen', '--key-type', KEY_TYPES[type], '--id', id, '--label', label, ...usages);
      const publicDer = await run(
        '--token-label',
        tokenLabel,
        '--read-object',
        '--type',
        'pubkey',
        '--id',
        id,
      );
      const publicKey = createPublicKey({ key: publicDer, format: 'der', type: 'spki' });
      const certificate = await pki.issueForPublicKey(
        publicKey.export({ type: 'spki', format: 'pem' }).toString(),
        {
          address: request.address,
          ...(request.use === undefined ? {} : { use: request.use }),
        },
      );
      const file = join(folder, `${id}.der`);
      await writeFile(file, derOf(certificate));
      await loggedIn('--write-object', file, '--type', 'cert', '--id', id, '--label', label);
      return { address: request.address, label, id, certificate };
    },
    async listObjects() {
      return (await loggedIn('--list-objects')).toString('utf8');
    },
    stop: remove,
  });
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
}

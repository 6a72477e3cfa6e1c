import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { firstFile, requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';
import { type TestToken, testToken } from './test-token.ts';

const MODULES = [
  '/usr/lib/x86_64-linux-gnu/libsoftokn3.so',
  '/usr/lib/aarch64-linux-gnu/libsoftokn3.so',
  '/usr/lib64/libsoftokn3.so',
];

/**
 * The token of NSS (softokn, as in Thunderbird), with a database of its own. It knows where its keys are from C_Initialize alone
 * (`initArgs`), and shows two slots: one for the database, one without a login that holds nothing.
 */
export async function nssToken(options: { tokenLabel?: string } = {}): Promise<Started<TestToken>> {
  const certutil = await requireCommand('certutil');
  const module = firstFile(MODULES, 'The PKCS#11 module libsoftokn3.so', 'libnss3');
  const { folder, remove } = await temporaryFolder('nss-token');
  const tokenLabel = options.tokenLabel ?? 'sealgate-nss';
  const pin = '471100';
  // A file: arguments are for everybody to read.
  const pinFile = join(folder, 'pin');
  await writeFile(pinFile, `${pin}\n`, { mode: 0o600 });
  await runProgram(certutil, ['-N', '-d', `sql:${folder}`, '-f', pinFile]);
  const initArgs = `configdir='sql:${folder}' certPrefix='' keyPrefix='' secmod='' flags=noModDB dbTokenDescription='${tokenLabel}'`;
  return started({ ...testToken({ module, env: {}, initArgs, tokenLabel, pin }), stop: remove });
}

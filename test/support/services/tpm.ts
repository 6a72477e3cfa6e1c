import { mkdir } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { SealgateError } from '../../../src/errors.ts';
import {
  type ForegroundProcess,
  startForegroundProcess,
} from '../../../src/evaluation/foreground-process.ts';
import { freePair } from '../free-pair.ts';
import { firstFile, requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';
import { order, type TestToken, testToken } from './test-token.ts';

const MODULES = [
  '/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so',
  '/usr/lib/aarch64-linux-gnu/pkcs11/libtpm2_pkcs11.so',
  '/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1',
];

const ATTEMPTS = 5;
const START_MS = 20_000;

/**
 * A token in a TPM: tpm2-pkcs11 on a software TPM (swtpm) of this test's own. One process at a time: the TPM answers a second one
 * when the first has let go.
 */
export async function tpmToken(options: { tokenLabel?: string } = {}): Promise<Started<TestToken>> {
  const module = firstFile(MODULES, 'The PKCS#11 module libtpm2_pkcs11.so', 'libtpm2-pkcs11-1');
  const { folder, remove } = await temporaryFolder('tpm');
  let tpm: ForegroundProcess | null = null;
  const stop = async (): Promise<void> => {
    await tpm?.stop();
    await remove();
  };
  try {
    const store = join(folder, 'store');
    const state = join(folder, 'state');
    await mkdir(store, { mode: 0o700 });
    await mkdir(state, { mode: 0o700 });
    const running = await startTpm(state);
    tpm = running.tpm;
    const env = {
      TPM2_PKCS11_STORE: store,
      TPM2_PKCS11_TCTI: `swtpm:host=127.0.0.1,port=${running.port}`,
      // The module writes to standard error what it also returns.
      TPM2_PKCS11_LOG_LEVEL: '0',
      TSS2_LOG: 'all+NONE',
    };
    const access = { module, env, tokenLabel: options.tokenLabel ?? 'sealgate-tpm', pin: '471100' };
    await order(access, [{ kind: 'initialise', soPin: '00471100' }]);
    return started({ ...testToken(access, 1), stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The module finds the control channel at the next higher port. */
async function startTpm(state: string): Promise<{ tpm: ForegroundProcess; port: number }> {
  const swtpm = await requireCommand('swtpm');
  for (let attempt = 1; ; attempt++) {
    const port = await freePair();
    const tpm = await startForegroundProcess(swtpm, [
      ...['socket', '--tpm2', '--tpmstate', `dir=${state}`, '--flags', 'not-need-init,startup-clear'],
      ...['--server', `type=tcp,port=${port},bindaddr=127.0.0.1`],
      ...['--ctrl', `type=tcp,port=${port + 1},bindaddr=127.0.0.1`],
    ]);
    if (await listens(port + 1, tpm)) return { tpm, port };
    const words = tpm.output();
    await tpm.stop();
    // Somebody else may have taken one of the ports a moment ago.
    if (words.includes('Address already in use') && attempt < ATTEMPTS) continue;
    throw new SealgateError({
      code: 'evaluation.program-failed',
      publicText: `swtpm did not start: ${words}.`,
      duration: 'permanent',
    });
  }
}

async function listens(port: number, tpm: ForegroundProcess): Promise<boolean> {
  const until = Date.now() + START_MS;
  while (tpm.ended() === null && Date.now() < until) {
    const connected = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ host: '127.0.0.1', port });
      socket.on('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (connected) return tpm.ended() === null;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

import { constants, createPrivateKey, type KeyObject, publicEncrypt, randomBytes, sign } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { SigningKey } from '../../../src/cms/keys.ts';
import { createThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { openKeySources } from '../../../src/hsm/key-sources.ts';
import { silentLog } from '../../../src/log/log.ts';
import { encryptMessage } from '../../../src/smime/encrypt.ts';
import { signMessage } from '../../../src/smime/sign.ts';
import { pemSource } from '../../support/pem-source.ts';
import type { Benchmark, Contender } from '../benchmark.ts';
import { type InProcess, inProcess } from './in-process.ts';
import { FLOWED, PLAIN } from './mails.ts';
import { SENDER } from './outbound.ts';

/**
 * The two functions of src/smime on a 10 KB mail, with nothing around them. RSA alone runs in the same rounds: "ours beyond
 * it" is what the engine costs besides the RSA operation.
 */

export function smimeSigned(): Benchmark {
  return {
    name: 'smime-signed',
    unit: 'mail',
    about: 'signMessage on 10 KB mails, RSA-2048 key in its key process',
    contenders: [
      signing('sealgate', PLAIN, (key) => key),
      signing('  with a key that answers at once', PLAIN, instant),
      signing('  the same, 8bit text', FLOWED, instant),
      bareSignature(),
    ],
  };
}

export function smimeEncrypted(): Benchmark {
  return {
    name: 'smime-encrypted',
    unit: 'mail',
    about: 'encryptMessage on 10 KB mails for one RSA-2048 recipient',
    contenders: [
      encrypting('sealgate, AES-256-CBC', 'aes256-cbc'),
      encrypting('  AES-256-GCM', 'aes256-gcm'),
      inProcess('publicEncrypt alone', 'limit', async () => {
        const { key, stop } = await signer();
        const { publicKey } = key.certificate;
        const contentKey = randomBytes(32);
        const padding = constants.RSA_PKCS1_PADDING;
        return { once: async () => publicEncrypt({ key: publicKey, padding }, contentKey), stop };
      }),
    ],
  };
}

function signing(name: string, mail: Buffer, use: (key: SigningKey) => SigningKey): Contender {
  return inProcess(name, 'ours', async () => {
    const { key, stop } = await signer();
    const used = use(key);
    return { once: () => signMessage(mail, used, { form: 'clear', at: new Date() }), stop };
  });
}

function encrypting(name: string, algorithm: 'aes256-cbc' | 'aes256-gcm'): Contender {
  return inProcess(name, 'ours', async () => {
    const { key, stop } = await signer();
    const recipients = [{ certificate: key.certificate }];
    return { once: () => encryptMessage(PLAIN, recipients, algorithm), stop };
  });
}

/** As many octets as signed attributes have, in libuv's pool of this process: no key process in between. */
function bareSignature(): Contender {
  return inProcess('crypto.sign alone', 'limit', async (): Promise<InProcess> => {
    const { privateKey, stop } = await signer();
    const data = randomBytes(500);
    return { once: () => signature('sha256', data, privateKey), stop };
  });
}

const signature = promisify<string, Buffer, KeyObject, Buffer>(sign);

type Signer = { key: SigningKey; privateKey: KeyObject; stop(): Promise<void> };

/** A key as the gateway opens it from a file. */
async function signer(): Promise<Signer> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-smime-'));
  try {
    const pki = await createThrowawayPki(join(folder, 'pki'));
    const { certificateFile: certificate, keyFile } = await pki.issueUser({ address: SENDER });
    const sources = await openKeySources([pemSource('load', { certificate, key: keyFile })], {
      log: silentLog,
    });
    const [found] = sources.signing;
    if (found === undefined) throw new Error('the key cannot sign');
    const privateKey = createPrivateKey(await readFile(keyFile));
    return { key: found, privateKey, stop: () => sources.close() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function instant({ label, certificate, chain, schemes }: SigningKey): SigningKey {
  return { label, certificate, chain, schemes, sign: async () => Buffer.alloc(256) };
}

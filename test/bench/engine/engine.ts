import { constants, createCipheriv, publicEncrypt, randomBytes, sign } from 'node:crypto';
import type { Benchmark, Contender } from '../benchmark.ts';
import { inProcess } from './in-process.ts';
import { FLOWED, PLAIN } from './mails.ts';
import { type EngineOptions, startEngine } from './outbound.ts';

/**
 * The engine without sockets: what looking at a 10 KB mail, deciding, signing and encrypting cost. The bare cryptographic
 * operations run in the same rounds, so that their cost can be taken off.
 */

export function engineSigned(): Benchmark {
  return {
    name: 'engine-signed',
    unit: 'mail',
    about: '10 KB mails through the outbound story in one process, signed with RSA-2048',
    contenders: [
      engine('sealgate, signing', { sign: true, encrypt: false }, PLAIN),
      engine('  with a key that answers at once', { sign: true, encrypt: false, instantKey: true }, PLAIN),
      engine('  the same, 8bit text', { sign: true, encrypt: false, instantKey: true }, FLOWED),
      engine('  nothing to protect', { sign: false, encrypt: false }, PLAIN),
      bareSignature(),
    ],
  };
}

export function engineEncrypted(): Benchmark {
  return {
    name: 'engine-encrypted',
    unit: 'mail',
    about: '10 KB mails through the outbound story in one process, for one RSA-2048 recipient and the sender',
    contenders: [engine('sealgate, encrypting', { sign: false, encrypt: true }, PLAIN), bareEncryption()],
  };
}

function engine(name: string, options: EngineOptions, mail: Buffer): Contender {
  return inProcess(name, 'ours', async () => {
    const { pass, close } = await startEngine(options);
    return { once: () => pass(mail), stop: close };
  });
}

function bareSignature(): Contender {
  return inProcess('crypto.sign alone', 'limit', async () => {
    const { privateKey: key, close } = await startEngine({ sign: true, encrypt: false });
    const options = { key, padding: constants.RSA_PKCS1_PADDING };
    // As many octets as signed attributes have.
    const data = randomBytes(500);
    const once = () =>
      new Promise<void>((resolve, reject) => {
        sign('sha256', data, options, (error) => (error === null ? resolve() : reject(error)));
      });
    return { once, stop: close };
  });
}

function bareEncryption(): Contender {
  return inProcess('AES-256-CBC and publicEncrypt twice', 'limit', async () => {
    const { sender, recipient, close } = await startEngine({ sign: false, encrypt: true });
    const padding = constants.RSA_PKCS1_PADDING;
    const once = async () => {
      const key = randomBytes(32);
      const cipher = createCipheriv('aes-256-cbc', key, randomBytes(16));
      cipher.update(PLAIN);
      cipher.final();
      for (const { publicKey } of [sender, recipient]) publicEncrypt({ key: publicKey, padding }, key);
    };
    return { once, stop: close };
  });
}

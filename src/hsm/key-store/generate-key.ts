import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { unreachable } from '../../errors.ts';

/** Keys that are made here, by the names of the command line. */
export const KEY_KINDS = [
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
  'p-256',
  'p-384',
  'p-521',
  'brainpool-p256r1',
  'brainpool-p384r1',
  'brainpool-p512r1',
  'ed25519',
  'ed448',
  'ml-dsa-44',
  'ml-dsa-65',
  'ml-dsa-87',
] as const;

export type KeyKind = (typeof KEY_KINDS)[number];

/** A new private key, off the event loop. RSA takes a second or more. */
export async function generateKey(kind: KeyKind): Promise<KeyObject> {
  const generated = await generatePair(kind);
  return generated.privateKey;
}

const rsa = promisify((bits: number, done: Done) => {
  generateKeyPair('rsa', { modulusLength: bits, publicExponent: 0x1_0001 }, settle(done));
});
const ec = promisify((namedCurve: string, done: Done) => {
  generateKeyPair('ec', { namedCurve, paramEncoding: 'named' }, settle(done));
});

type Pair = { privateKey: KeyObject };
type Done = (error: Error | null, pair: Pair) => void;

function settle(done: Done) {
  return (error: Error | null, _publicKey: KeyObject, privateKey: KeyObject): void =>
    done(error, { privateKey });
}

function generatePair(kind: KeyKind): Promise<Pair> {
  switch (kind) {
    case 'rsa-2048':
      return rsa(2_048);
    case 'rsa-3072':
      return rsa(3_072);
    case 'rsa-4096':
      return rsa(4_096);
    case 'p-256':
      return ec('prime256v1');
    case 'p-384':
      return ec('secp384r1');
    case 'p-521':
      return ec('secp521r1');
    case 'brainpool-p256r1':
      return ec('brainpoolP256r1');
    case 'brainpool-p384r1':
      return ec('brainpoolP384r1');
    case 'brainpool-p512r1':
      return ec('brainpoolP512r1');
    case 'ed25519':
      return promisify((done: Done) => generateKeyPair('ed25519', {}, settle(done)))();
    case 'ed448':
      return promisify((done: Done) => generateKeyPair('ed448', {}, settle(done)))();
    case 'ml-dsa-44':
      return promisify((done: Done) => generateKeyPair('ml-dsa-44', {}, settle(done)))();
    case 'ml-dsa-65':
      return promisify((done: Done) => generateKeyPair('ml-dsa-65', {}, settle(done)))();
    case 'ml-dsa-87':
      return promisify((done: Done) => generateKeyPair('ml-dsa-87', {}, settle(done)))();
    default:
      return unreachable(kind);
  }
}

import {
  constants,
  createPublicKey,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import type { SignatureScheme } from '../cms/keys.ts';
import { SealgateError, unreachable } from '../errors.ts';
import type { KeyDescription, OpeningAbility } from '../hsm/inventory.ts';
import type { KeyPlace } from '../hsm/key-state.ts';
import type { Operation } from '../hsm/operation.ts';
import { verifySignature } from '../hsm/verify-signature.ts';
import { parseCertificate } from '../pki/certificate.ts';

/** One way to use a key, tried. What comes back is held against the public key of the certificate, by code that is not the key's. */
export type KeyTrial = {
  way: string;
  outcome: 'good' | 'failed';
  reason: string | null;
  /** Of one operation alone; null: it failed. */
  milliseconds: number | null;
  /** With as many at once as the place does; null: not measured. */
  perSecond: number | null;
};

export type TrialOptions = {
  /** How long the rate is measured; 0: not. */
  seconds: number;
  /** Operations at the same time. */
  parallel: number;
};

type Trial = { way: string; operation: Operation; isRight(answer: Buffer): boolean | Promise<boolean> };

export async function trialsOf(
  place: KeyPlace,
  key: KeyDescription,
  options: TrialOptions,
): Promise<KeyTrial[]> {
  const { publicKey } = parseCertificate(Buffer.from(key.certificate));
  const trials = [
    ...key.schemes.map((scheme) => signing(key.key, scheme, publicKey)),
    ...key.opens.flatMap((ability) => opening(key.key, ability, publicKey)),
  ];
  const done: KeyTrial[] = [];
  for (const trial of trials) done.push(await perform(place, trial, key, options));
  return done;
}

async function perform(
  place: KeyPlace,
  { way, operation, isRight }: Trial,
  { alwaysAuthenticate }: KeyDescription,
  { seconds, parallel }: TrialOptions,
): Promise<KeyTrial> {
  try {
    const started = performance.now();
    const answer = await place.perform(operation);
    const milliseconds = performance.now() - started;
    if (!(await isRight(answer))) {
      const reason = 'The answer does not fit the certificate: it belongs to another key.';
      return { way, outcome: 'failed', reason, milliseconds: null, perSecond: null };
    }
    // A PIN for each use: nobody types it a hundred times for a figure.
    const perSecond =
      alwaysAuthenticate || seconds === 0 ? null : await rate(place, operation, seconds, parallel);
    return { way, outcome: 'good', reason: null, milliseconds, perSecond };
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    return { way, outcome: 'failed', reason: error.publicText, milliseconds: null, perSecond: null };
  }
}

async function rate(
  place: KeyPlace,
  operation: Operation,
  seconds: number,
  parallel: number,
): Promise<number> {
  const started = performance.now();
  const end = started + seconds * 1000;
  let count = 0;
  const worker = async (): Promise<void> => {
    do {
      await place.perform(operation);
      count++;
    } while (performance.now() < end);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return (count * 1000) / (performance.now() - started);
}

function signing(key: string, scheme: SignatureScheme, publicKey: KeyObject): Trial {
  const data = randomBytes(64);
  return {
    way: `sign ${nameOf(scheme)}`,
    operation: { kind: 'sign', key, scheme, input: 'message', data },
    isRight: (signature) => verifySignature(publicKey, scheme, data, signature),
  };
}

function nameOf(scheme: SignatureScheme): string {
  switch (scheme.kind) {
    case 'rsa-pkcs1':
    case 'rsa-pss':
    case 'ecdsa':
      return `${scheme.kind} ${scheme.digest}`;
    case 'eddsa':
      return scheme.curve;
    case 'ml-dsa':
      return scheme.parameterSet;
    default:
      return unreachable(scheme);
  }
}

function opening(key: string, ability: OpeningAbility, publicKey: KeyObject): Trial[] {
  const secret = randomBytes(32);
  const isSecret = (answer: Buffer): boolean => answer.equals(secret);
  switch (ability) {
    case 'rsa-pkcs1': {
      const encryptedKey = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, secret);
      const scheme = { kind: 'rsa-pkcs1' } as const;
      return [
        {
          way: 'open rsa-pkcs1',
          operation: { kind: 'decrypt', key, scheme, encryptedKey },
          isRight: isSecret,
        },
      ];
    }
    case 'rsa-oaep':
      return (['sha1', 'sha256'] as const).map((digest) => {
        const encryptedKey = publicEncrypt({ key: publicKey, oaepHash: digest }, secret);
        const scheme = { kind: 'rsa-oaep', digest, maskDigest: digest, label: Buffer.alloc(0) } as const;
        return {
          way: `open rsa-oaep ${digest}`,
          operation: { kind: 'decrypt', key, scheme, encryptedKey },
          isRight: isSecret,
        };
      });
    case 'agree': {
      const { privateKey } = ephemeral(publicKey);
      const shared = diffieHellman({ privateKey, publicKey });
      const originator = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
      return [
        {
          way: 'open ecdh',
          operation: { kind: 'agree', key, originator },
          isRight: (answer) => answer.equals(shared),
        },
      ];
    }
    case 'decapsulate': {
      const { sharedKey, ciphertext } = encapsulate(publicKey);
      return [
        {
          way: 'open ml-kem',
          operation: { kind: 'decapsulate', key, ciphertext },
          isRight: (answer) => answer.equals(sharedKey),
        },
      ];
    }
    default:
      return unreachable(ability);
  }
}

/** On the curve of the key. */
function ephemeral({ asymmetricKeyType: type, asymmetricKeyDetails }: KeyObject): { privateKey: KeyObject } {
  if (type === 'x25519') return generateKeyPairSync('x25519');
  if (type === 'x448') return generateKeyPairSync('x448');
  return generateKeyPairSync('ec', { namedCurve: asymmetricKeyDetails?.namedCurve ?? '' });
}

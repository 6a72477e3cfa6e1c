import { randomBytes, scrypt } from 'node:crypto';
import { z } from 'zod';
import { decrypt } from '../../cms/decrypt.ts';
import { encrypt } from '../../cms/encrypt.ts';
import type { DecryptionKey } from '../../cms/keys.ts';
import { SealgateError, unreachable } from '../../errors.ts';
import type { Secret } from '../../log/secret.ts';
import { type Certificate, parseCertificate } from '../../pki/certificate.ts';
import { MASTER_KEY_OCTETS, SALT_OCTETS, SEALING_OCTETS, seal, unseal } from './sealing.ts';
import {
  malformedStore,
  storeKeyUnusable,
  storeOtherUnlock,
  storeSecretIncorrect,
  storeSecretWeak,
} from './store-error.ts';
import { base64 } from './strict-json.ts';
import type { Unlock } from './unlock.ts';

/**
 * The master key of a store, wrapped: under a secret by scrypt (RFC 7914), or sealed to the certificate of a key as a CMS
 * message (RFC 5083, AES-256-GCM; RFC 3560 for RSA, RFC 5753 for elliptic curves).
 */

/** 128 · n · r octets of memory: 128 MiB, some tenths of a second. */
export const SCRYPT_COST: ScryptCost = { n: 2 ** 17, r: 8, p: 1 };
const MOST_MEMORY = 256 * 1024 * 1024;
const LEAST_N = 2 ** 14;
const MOST_P = 16;
/** Characters of the secret of a new store. */
const SHORTEST_SECRET = 12;
const LONGEST_SECRET = 1_024;

export type ScryptCost = { n: number; r: number; p: number };

const cost = z
  .strictObject({ n: z.number().int(), r: z.number().int(), p: z.number().int() })
  .refine(
    ({ n, r, p }) =>
      n >= LEAST_N &&
      Number.isInteger(Math.log2(n)) &&
      r >= 8 &&
      p >= 1 &&
      p <= MOST_P &&
      128 * n * r <= MOST_MEMORY,
  );

export const wrapping = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('scrypt'), cost, salt: base64, wrapped: base64 }),
  z.strictObject({ kind: z.literal('sealed'), certificate: base64, message: base64 }),
]);

/** How the master key is wrapped. */
export type Wrapping = z.infer<typeof wrapping>;

/** @throws SealgateError `key.store-secret-weak`, `key.store-key-unusable`, and those of the key */
export function wrapMasterKey(
  master: Buffer,
  unlock: Unlock,
  scryptCost: ScryptCost = SCRYPT_COST,
): Promise<Wrapping> {
  return 'secret' in unlock ? wrapUnder(unlock.secret, master, scryptCost) : sealTo(unlock.key, master);
}

/**
 * @returns the caller's to clear
 * @param header path of the file that it is in, for what is said
 * @throws SealgateError `key.passphrase-incorrect`, `key.store-other-unlock`, `key.store-malformed`, and those of the key
 */
export async function unwrapMasterKey(
  folder: string,
  header: string,
  wrapped: Wrapping,
  unlock: Unlock,
): Promise<Buffer> {
  switch (wrapped.kind) {
    case 'scrypt': {
      if (!('secret' in unlock)) throw storeOtherUnlock(folder, 'a secret');
      const { salt, cost: scryptCost } = wrapped;
      const sealing = await sealingOf(unlock.secret, octetsOf(salt), scryptCost);
      const master = sealing === null ? null : unseal(sealing, WRAPPING, octetsOf(wrapped.wrapped));
      if (master?.length !== MASTER_KEY_OCTETS) throw storeSecretIncorrect(folder);
      return master;
    }
    case 'sealed': {
      const certificate = await undamaged(header, async () =>
        parseCertificate(octetsOf(wrapped.certificate)),
      );
      const sealedTo = `the key of the certificate ${certificate.fingerprint.slice(0, 16)}… (SHA-256)`;
      if (!('key' in unlock)) throw storeOtherUnlock(folder, sealedTo);
      // By the public key: a certificate is renewed more often than a key.
      if (!unlock.key.certificate.subjectPublicKeyInfo.equals(certificate.subjectPublicKeyInfo)) {
        throw storeOtherUnlock(folder, sealedTo);
      }
      const { key } = unlock;
      return await undamaged(header, () => openSealed(key, certificate, octetsOf(wrapped.message)));
    }
    default:
      return unreachable(wrapped);
  }
}

/** What is wrong with the octets is said of the file; what is wrong with the key is not. */
async function undamaged<T>(header: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    const { code } = error;
    if (code.startsWith('key.') && code !== 'key.store-key-unusable') throw error;
    throw malformedStore(header, 'the sealed master key', error);
  }
}

function octetsOf(base64Text: string): Buffer {
  return Buffer.from(base64Text, 'base64');
}

const WRAPPING = Buffer.from('sealgate key store 1 master key');

async function wrapUnder(secret: Secret, master: Buffer, scryptCost: ScryptCost): Promise<Wrapping> {
  if (secret.reveal().length < SHORTEST_SECRET) throw storeSecretWeak(SHORTEST_SECRET);
  const fresh = randomBytes(SALT_OCTETS);
  const sealing = await sealingOf(secret, fresh, scryptCost);
  if (sealing === null) throw storeSecretWeak(SHORTEST_SECRET);
  const wrapped = seal(sealing, WRAPPING, master);
  return {
    kind: 'scrypt',
    cost: scryptCost,
    salt: fresh.toString('base64'),
    wrapped: wrapped.toString('base64'),
  };
}

/** null: a secret that no store has. */
async function sealingOf(
  secret: Secret,
  saltOctets: Buffer,
  { n, r, p }: ScryptCost,
): Promise<Buffer | null> {
  const text = secret.reveal();
  if (text.length > LONGEST_SECRET || !text.isWellFormed()) return null;
  const octets = Buffer.from(text, 'utf8');
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  scrypt(octets, saltOctets, SEALING_OCTETS, { N: n, r, p, maxmem: 2 * MOST_MEMORY }, (error, derived) => {
    octets.fill(0);
    if (error === null) resolve(derived);
    else reject(error);
  });
  return await promise;
}

/** Opened once before it is relied upon: a key that signs only would lock the store for ever. */
async function sealTo(key: DecryptionKey, master: Buffer): Promise<Wrapping> {
  const { certificate, readsOaep = true } = key;
  let message: Buffer;
  try {
    message = await encrypt({
      content: master,
      recipients: [{ certificate, keyTransport: readsOaep ? 'rsa-oaep' : 'rsa-pkcs1' }],
      algorithm: 'aes256-gcm',
      postQuantum: true,
    });
  } catch (cause) {
    throw storeKeyUnusable('nothing is encrypted to it', cause);
  }
  const opened = await openSealed(key, certificate, message);
  const same = opened.equals(master);
  opened.fill(0);
  if (!same) throw storeKeyUnusable('another master key came back');
  return {
    kind: 'sealed',
    certificate: certificate.der.toString('base64'),
    message: message.toString('base64'),
  };
}

async function openSealed(key: DecryptionKey, certificate: Certificate, message: Buffer): Promise<Buffer> {
  // The message names the certificate it was made for; the key may meanwhile have another one.
  const named: DecryptionKey = {
    label: key.label,
    certificate,
    readsOaep: key.readsOaep ?? true,
    decryptKey: (scheme, encryptedKey) => key.decryptKey(scheme, encryptedKey),
    agree: (originator) => key.agree(originator),
    decapsulate: (ciphertext) => key.decapsulate(ciphertext),
  };
  const outcome = await decrypt(message, [named]);
  if (outcome.outcome !== 'opened' || outcome.content.length !== MASTER_KEY_OCTETS) {
    throw storeKeyUnusable(`the message with the master key: ${outcome.outcome}`);
  }
  // A copy of its own: the content may be part of something larger that nobody clears.
  const master = Buffer.from(outcome.content);
  outcome.content.fill(0);
  return master;
}

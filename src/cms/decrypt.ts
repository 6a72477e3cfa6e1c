import { createHmac, randomBytes } from 'node:crypto';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Certificate } from '../pki/certificate.ts';
import { describeContentEncryption, type OpenableContent, openableContent } from './content-encryption.ts';
import { type EnvelopedData, readEnvelopedData } from './enveloped-data.ts';
import { identifies } from './identifiers.ts';
import { canAgree, keyEncryptionKeys, originatorKeyFor, resolveKeyAgreement } from './key-agreement.ts';
import { canTransportKeys, resolveKeyTransport } from './key-transport.ts';
import { unwrapKey } from './key-wrap.ts';
import type { DecryptionKey } from './keys.ts';
import { isUnreadable } from './malformed.ts';
import type { RecipientInfo } from './recipient-infos.ts';
import { contentTypeOf } from './signed-attributes.ts';

/**
 * Opens EnvelopedData and AuthEnvelopedData.
 *
 * Holds: every failure behind "a key of ours matches" looks the same from outside, and takes the same path: wrong key,
 * padding, key of wrong length, broken content, wrong tag (RFC 3218 §2.3).
 * Must never happen: a part of the content given out, a reason given out, an answer that depends on the padding of an
 * RSA encrypted key.
 */

export type DecryptOutcome = { algorithm: string; authenticated: boolean } & (
  | {
      outcome: 'opened';
      content: Buffer;
      /** Of the content: id-data for S/MIME. */
      contentType: string;
      /** Certificate of the key that opened it. */
      recipient: Certificate;
    }
  | { outcome: 'no-key' }
  | { outcome: 'failed' }
);

/**
 * Tries every key whose certificate a RecipientInfo names, until one opens the content.
 *
 * @param octets ContentInfo, BER or DER
 * @param keys every key the reader ever held
 * @throws SealgateError `cms.malformed` when the structure cannot be read; a key's temporary error
 *   (`key.unavailable`) when no other key opens the content
 */
export async function decrypt(octets: Buffer, keys: readonly DecryptionKey[]): Promise<DecryptOutcome> {
  const enveloped = readEnvelopedData(octets);
  const { name: algorithm, authenticated: authenticates } = describeContentEncryption(enveloped.algorithm);
  const description = { algorithm, authenticated: authenticates };
  const attempts = attemptsFor(enveloped, keys);
  if (attempts.length === 0) return { ...description, outcome: 'no-key' };
  const openable = orNull(() => openableOf(enveloped));
  if (openable === null) return { ...description, outcome: 'failed' };

  let unavailable: SealgateError | null = null;
  for (const { info, key } of attempts) {
    try {
      const contentKeys = await contentKeysOf(info, key, openable.keyOctets);
      for (const contentKey of contentKeys) {
        const content = openable.open(contentKey);
        contentKey.fill(0);
        if (content !== null) {
          const { contentType } = enveloped;
          return { ...description, outcome: 'opened', content, contentType, recipient: key.certificate };
        }
      }
    } catch (error) {
      if (!isOfTheKeyAlone(error)) throw error;
      // A key that never does this operation is no candidate; one that is away may be the right one.
      if (error.duration === 'temporary') unavailable = error;
    }
  }
  if (unavailable !== null) throw unavailable;
  return { ...description, outcome: 'failed' };
}

type Attempt = { info: RecipientInfo; key: DecryptionKey };

/** Bounded: each attempt may be an operation of a slow token, and the sender decides how often a key is named. */
function attemptsFor(enveloped: EnvelopedData, keys: readonly DecryptionKey[]): Attempt[] {
  const found: Attempt[] = [];
  for (const info of enveloped.recipientInfos) {
    for (const key of keys) {
      if (found.length >= limits.cms.keyOperations) return found;
      if (identifies(info.identifier, key.certificate)) found.push({ info, key });
    }
  }
  return found;
}

/** null: an algorithm, parameters or attributes that are not supported. */
function openableOf(enveloped: EnvelopedData): OpenableContent | null {
  const { algorithm, ciphertext, mac, authenticatedAttributes, contentType } = enveloped;
  if (authenticatedAttributes !== null) {
    // RFC 5083 §2.1: content-type must be among them and be right.
    if (contentTypeOf(authenticatedAttributes.list) !== contentType) return null;
  }
  return openableContent(algorithm, ciphertext, mac, [
    ...(authenticatedAttributes?.encodings() ?? [Buffer.alloc(0)]),
  ]);
}

/** Content-encryption keys that a RecipientInfo may hold, each of the right length; empty: none. */
async function contentKeysOf(info: RecipientInfo, key: DecryptionKey, keyOctets: number): Promise<Buffer[]> {
  if (info.kind === 'key-transport') {
    const contentKey = await transportedKey(info, key, keyOctets);
    return contentKey === null ? [] : [contentKey];
  }
  return agreedKeys(info, key, keyOctets);
}

async function transportedKey(
  info: RecipientInfo & { kind: 'key-transport' },
  key: DecryptionKey,
  keyOctets: number,
): Promise<Buffer | null> {
  const scheme = orNull(() => resolveKeyTransport(info.algorithm));
  if (scheme === null || !canTransportKeys(key.certificate)) return null;
  const contentKey = await failureAsNull(() => key.decryptKey(scheme, info.encryptedKey));
  const fits = contentKey?.length === keyOctets;
  if (scheme.kind === 'rsa-oaep') return fits ? contentKey : null;
  // RFC 3218 §2.3.2: decryption goes on with a key of chance, so that a wrong padding shows in nothing. Computed in any
  // case, for the same work.
  const substitute = substituteKey(key, info.encryptedKey, keyOctets);
  return fits ? contentKey : substitute;
}

async function agreedKeys(
  info: RecipientInfo & { kind: 'key-agreement' },
  key: DecryptionKey,
  keyOctets: number,
): Promise<Buffer[]> {
  if (!canAgree(key.certificate)) return [];
  const agreement = orNull(() => resolveKeyAgreement(info.algorithm));
  const { algorithm, publicKey } = info.originator;
  const originator = orNull(() => originatorKeyFor(key.certificate, algorithm, publicKey));
  if (agreement === null || originator === null) return [];
  const secret = await failureAsNull(() => key.agree(originator));
  if (secret === null) return [];
  const found: Buffer[] = [];
  for (const keyEncryptionKey of keyEncryptionKeys(agreement, secret, info.ukm)) {
    const contentKey = unwrapKey(agreement.wrap, keyEncryptionKey, info.encryptedKey);
    keyEncryptionKey.fill(0);
    if (contentKey?.length === keyOctets) found.push(contentKey);
  }
  secret.fill(0);
  return found;
}

/** Made on first use; lives as long as the process. */
let substitutionSecret: Buffer | null = null;

/**
 * The same for the same encrypted key, as a real one would be: with a new one each time, repeating a message would tell
 * a wrong padding by its changing outcome.
 */
function substituteKey(key: DecryptionKey, encryptedKey: Buffer, keyOctets: number): Buffer {
  substitutionSecret ??= randomBytes(32);
  const mac = createHmac('sha512', substitutionSecret)
    .update(key.certificate.fingerprint)
    .update(encryptedKey);
  return mac.digest().subarray(0, keyOctets);
}

/** Errors that no octet of a message brings about, so that they may be told: the key is away, or has no such operation. */
function isOfTheKeyAlone(error: unknown): error is SealgateError {
  return error instanceof SealgateError && (error.duration === 'temporary' || error.code === 'key.refused');
}

/** Every other failure of a key operation is one and the same. */
async function failureAsNull(operation: () => Promise<Buffer>): Promise<Buffer | null> {
  try {
    return await operation();
  } catch (error) {
    if (isOfTheKeyAlone(error)) throw error;
    return null;
  }
}

function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (isUnreadable(error)) return null;
    throw error;
  }
}

import type { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Certificate } from '../pki/certificate.ts';
import { describeContentEncryption } from './content-encryption.ts';
import { type Attempt, contentKeysOf, isOfTheKeyAlone, isUnusableForNow } from './content-keys.ts';
import type { EnvelopedStructure } from './enveloped-data.ts';
import { identifies } from './identifiers.ts';
import type { DecryptionKey } from './keys.ts';
import { orNull } from './malformed.ts';
import { type CiphertextShape, type OpenableContent, openableContent } from './openable-content.ts';
import { contentTypeOf } from './signed-attributes.ts';

/**
 * Which key opens EnvelopedData and AuthEnvelopedData: the same for content in memory and content in a stream.
 *
 * Holds: every failure behind "a key of ours matches" looks the same from outside, and takes the same path: wrong key,
 * padding, key of wrong length, broken content, wrong tag (RFC 3218 §2.3).
 * Must never happen: a part of the content given out before it is known to be right, a reason given out.
 */

export type Decryption<Content> = { algorithm: string; authenticated: boolean } & (
  | {
      outcome: 'opened';
      content: Content;
      /** Of the content: id-data for S/MIME. */
      contentType: string;
      /** Certificate of the key that opened it; null: a shared key or a password did. */
      recipient: Certificate | null;
    }
  | { outcome: 'no-key' }
  | { outcome: 'failed' }
);

/** What opens messages besides private keys. */
export type SharedSecrets = {
  /** For KEKRecipientInfo, under AES key wrap. */
  sharedKeys?: readonly { identifier: Uint8Array; key: Uint8Array }[];
  /** For PasswordRecipientInfo, in the encoding that the sender used: UTF-8 mostly. */
  passwords?: readonly Uint8Array[];
};

/** The content under one key; null: wrong key or damaged. */
export type OpenContent<Content> = (
  openable: OpenableContent,
  contentKey: Buffer,
) => Content | null | Promise<Content | null>;

/**
 * Tries every key whose certificate a RecipientInfo names, until one opens the content, in the order of `keys`: whoever puts
 * those first that are there asks nobody for the PIN of a mail that another key opens.
 *
 * @param maxOctets that are decrypted over all attempts, besides the first
 * @throws SealgateError a key's temporary error (`key.unavailable`) when no other key opens the content
 */
export async function decryptWith<Content>(
  enveloped: EnvelopedStructure,
  ciphertext: CiphertextShape,
  keys: readonly DecryptionKey[],
  secrets: SharedSecrets,
  open: OpenContent<Content>,
  maxOctets: number = limits.cms.decryptedOctets,
): Promise<Decryption<Content>> {
  const { name: algorithm, authenticated } = describeContentEncryption(enveloped.algorithm);
  const description = { algorithm, authenticated };
  const attempts = attemptsFor(enveloped, keys, secrets);
  if (attempts.length === 0) return { ...description, outcome: 'no-key' };
  const openable = orNull(() => openableOf(enveloped, ciphertext));
  if (openable === null) return { ...description, outcome: 'failed' };

  let unavailable: SealgateError | null = null;
  const left = { rounds: limits.cms.passwordIterations };
  let decrypted = 0;
  const notOpened = (): Decryption<Content> => {
    if (unavailable !== null) throw unavailable;
    return { ...description, outcome: 'failed' };
  };
  for (const attempt of attempts) {
    let contentKeys: Buffer[] = [];
    try {
      contentKeys = await contentKeysOf(attempt, openable.keyOctets, left);
    } catch (error) {
      if (!isOfTheKeyAlone(error)) throw error;
      // A key that never does this operation is no candidate; one that is away, or whose PIN is not right, may be the right one.
      if (isUnusableForNow(error)) unavailable ??= error;
    }
    for (const contentKey of contentKeys) {
      const octets = openable.ciphertextOctets * openable.ways.length;
      // Who names a key again and again has us decrypt again and again; whoever means it needs one attempt.
      if (decrypted > 0 && decrypted + octets > maxOctets) return notOpened();
      decrypted += octets;
      const content = await open(openable, contentKey);
      contentKey.fill(0);
      if (content === null) continue;
      const { contentType } = enveloped;
      const recipient = attempt.kind === 'certificate' ? attempt.key.certificate : null;
      return { ...description, outcome: 'opened', content, contentType, recipient };
    }
  }
  return notOpened();
}

/**
 * Bounded: each attempt may be an operation of a slow token, and the sender decides how often a key is named. So the keys
 * decide the order, and not the sender.
 */
function attemptsFor(
  enveloped: EnvelopedStructure,
  keys: readonly DecryptionKey[],
  { sharedKeys = [], passwords = [] }: SharedSecrets,
): Attempt[] {
  const found: Attempt[] = [];
  const isFull = () => found.length >= limits.cms.keyOperations;
  for (const key of keys) {
    for (const info of enveloped.recipientInfos) {
      if (isFull()) return found;
      if (info.kind === 'shared-key' || info.kind === 'password') continue;
      if (identifies(info.identifier, key.certificate)) found.push({ kind: 'certificate', info, key });
    }
  }
  for (const info of enveloped.recipientInfos) {
    if (info.kind === 'shared-key') {
      for (const { identifier, key } of sharedKeys) {
        if (info.keyIdentifier.equals(identifier)) found.push({ kind: 'shared-key', info, key });
      }
    } else if (info.kind === 'password') {
      for (const password of passwords) found.push({ kind: 'password', info, password });
    }
    if (isFull()) return found.slice(0, limits.cms.keyOperations);
  }
  return found;
}

/** null: an algorithm, parameters or attributes that are not supported. */
function openableOf(enveloped: EnvelopedStructure, ciphertext: CiphertextShape): OpenableContent | null {
  const { algorithm, mac, authenticatedAttributes, contentType } = enveloped;
  if (authenticatedAttributes !== null) {
    // RFC 5083 §2.1: content-type must be among them and be right.
    if (contentTypeOf(authenticatedAttributes.list) !== contentType) return null;
  }
  return openableContent(algorithm, ciphertext, mac, [
    ...(authenticatedAttributes?.encodings() ?? [Buffer.alloc(0)]),
  ]);
}

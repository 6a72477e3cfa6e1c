import { createHmac, randomBytes } from 'node:crypto';
import { SealgateError, unreachable } from '../errors.ts';
import { canAgree, keyEncryptionKeys, originatorKeyFor, resolveKeyAgreement } from './key-agreement.ts';
import { resolveEncapsulation } from './key-encapsulation.ts';
import { canTransportKeys, resolveKeyTransport } from './key-transport.ts';
import { resolveKeyWrap, unwrapKey } from './key-wrap.ts';
import type { DecryptionKey } from './keys.ts';
import { isUnreadable } from './malformed.ts';
import { keyUnderPassword, type RoundsLeft } from './password-recipient.ts';
import type {
  CertificateRecipientInfo,
  KeyAgreementInfo,
  KeyEncapsulationInfo,
  KeyTransportInfo,
  PasswordInfo,
  SharedKeyInfo,
} from './recipient-infos.ts';

/**
 * Content-encryption keys out of RecipientInfos.
 *
 * Must never happen: an answer that depends on the padding of an RSA encrypted key; a reason why a key did not open.
 */

/** A RecipientInfo and what may open it. */
export type Attempt =
  | { kind: 'certificate'; info: CertificateRecipientInfo; key: DecryptionKey }
  | { kind: 'shared-key'; info: SharedKeyInfo; key: Uint8Array }
  | { kind: 'password'; info: PasswordInfo; password: Uint8Array };

/**
 * Content-encryption keys that a RecipientInfo may hold, each of the right length; empty: none.
 *
 * @param left see `keyUnderPassword`
 */
export async function contentKeysOf(
  attempt: Attempt,
  keyOctets: number,
  left: RoundsLeft,
): Promise<Buffer[]> {
  const found = await candidates(attempt, keyOctets, left);
  return found.filter((key) => key?.length === keyOctets).filter((key) => key !== null);
}

async function candidates(attempt: Attempt, keyOctets: number, left: RoundsLeft): Promise<(Buffer | null)[]> {
  switch (attempt.kind) {
    case 'password':
      return [await orNull(() => keyUnderPassword(attempt.info, attempt.password, left))];
    case 'shared-key':
      return [keyUnderSharedKey(attempt.info, attempt.key)];
    case 'certificate':
      return keysForCertificate(attempt.info, attempt.key, keyOctets);
    default:
      return unreachable(attempt);
  }
}

async function keysForCertificate(
  info: CertificateRecipientInfo,
  key: DecryptionKey,
  keyOctets: number,
): Promise<(Buffer | null)[]> {
  switch (info.kind) {
    case 'key-transport':
      return [await transportedKey(info, key, keyOctets)];
    case 'key-agreement':
      return agreedKeys(info, key);
    case 'key-encapsulation':
      return [await encapsulatedKey(info, key)];
    default:
      return unreachable(info);
  }
}

/** KEKRecipientInfo (RFC 5652 §6.2.3); only the wraps of AES serve, with a key of their length. */
function keyUnderSharedKey(info: SharedKeyInfo, key: Uint8Array): Buffer | null {
  const wrap = resolveKeyWrap(info.algorithm);
  return wrap === null || wrap.keyOctets !== key.length ? null : unwrapKey(wrap, key, info.encryptedKey);
}

async function transportedKey(
  info: KeyTransportInfo,
  key: DecryptionKey,
  keyOctets: number,
): Promise<Buffer | null> {
  const scheme = await orNull(() => resolveKeyTransport(info.algorithm));
  if (scheme === null || !canTransportKeys(key.certificate)) return null;
  const contentKey = await failureAsNull(() => key.decryptKey(scheme, info.encryptedKey));
  const fits = contentKey?.length === keyOctets;
  if (scheme.kind === 'rsa-oaep') return fits ? contentKey : null;
  // RFC 3218 §2.3.2: decryption goes on with a key of chance, so that a wrong padding shows in nothing. Computed in any
  // case, for the same work.
  const substitute = substituteKey(key, info.encryptedKey, keyOctets);
  return fits ? contentKey : substitute;
}

async function agreedKeys(info: KeyAgreementInfo, key: DecryptionKey): Promise<(Buffer | null)[]> {
  if (!canAgree(key.certificate)) return [];
  const agreement = await orNull(() => resolveKeyAgreement(info.algorithm));
  const { algorithm, publicKey } = info.originator;
  const originator = await orNull(() => originatorKeyFor(key.certificate, algorithm, publicKey));
  if (agreement === null || originator === null) return [];
  const secret = await failureAsNull(() => key.agree(originator));
  if (secret === null) return [];
  const found: (Buffer | null)[] = [];
  for (const keyEncryptionKey of keyEncryptionKeys(agreement, secret, info.ukm)) {
    found.push(unwrapKey(agreement.wrap, keyEncryptionKey, info.encryptedKey));
    keyEncryptionKey.fill(0);
  }
  secret.fill(0);
  return found;
}

async function encapsulatedKey(info: KeyEncapsulationInfo, key: DecryptionKey): Promise<Buffer | null> {
  const encapsulation = await orNull(() => resolveEncapsulation(info, key.certificate));
  if (encapsulation === null) return null;
  const secret = await failureAsNull(() => key.decapsulate(info.ciphertext));
  if (secret === null) return null;
  const keyEncryptionKey = encapsulation.keyEncryptionKey(secret);
  const contentKey = unwrapKey(encapsulation.wrap, keyEncryptionKey, info.encryptedKey);
  keyEncryptionKey.fill(0);
  secret.fill(0);
  return contentKey;
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

/**
 * Errors that no octet of a message brings about, so that they may be told: the key is away, its PIN is not right, or it has
 * no such operation.
 */
export function isOfTheKeyAlone(error: unknown): error is SealgateError {
  if (!(error instanceof SealgateError)) return false;
  return error.duration === 'temporary' || error.code === 'key.refused' || isUnusableForNow(error);
}

/** Whether the key may do it another time: what it says of a PIN is permanent as long as nobody does something about it. */
export function isUnusableForNow(error: SealgateError): boolean {
  if (error.duration === 'temporary') return true;
  return error.code.startsWith('key.') && error.code !== 'key.refused' && error.code !== 'key.decrypt-failed';
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

async function orNull<T>(read: () => T | Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (isUnreadable(error)) return null;
    throw error;
  }
}

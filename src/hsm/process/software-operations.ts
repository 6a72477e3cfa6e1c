import {
  constants,
  decapsulate,
  diffieHellman,
  type KeyObject,
  privateDecrypt,
  sign as signMessage,
} from 'node:crypto';
import type { KeyTransportScheme } from '../../cms/keys.ts';
import { unreachable } from '../../errors.ts';
import { type Certificate, parseCertificate } from '../../pki/certificate.ts';
import { decryptFailed, FailureError, refused } from '../failures.ts';
import type { OpeningAbility } from '../inventory.ts';
import type { Operation } from '../operation.ts';
import { readOriginatorKey } from '../originator-key.ts';
import { includesScheme } from '../signature-schemes.ts';
import { cryptoParameters } from '../verify-signature.ts';
import type { KeyOperator } from './key-operator.ts';
import { decodeOaep } from './oaep.ts';
import type { SoftwareThreadKey } from './software-inventory.ts';

/**
 * Uses of keys in this process's memory; they block the thread, as those of a token do.
 *
 * Must never happen: two ways in which a ciphertext is wrong look different to whoever sent it (Manger 2001; RFC 3218).
 * What PKCS#1 v1.5 does not take gives random octets instead (OpenSSL's implicit rejection).
 */

type Key = Omit<SoftwareThreadKey, 'certificate'> & { certificate: Certificate };

/**
 * A signature needs the message: node:crypto signs no digest that was made elsewhere, so `input: 'digest'` is refused, and
 * whoever asks sends the message whenever `Inventory.token` is null.
 */
export function softwareOperator(keys: readonly SoftwareThreadKey[]): KeyOperator {
  const byId = new Map(
    keys.map((key) => [key.key, { ...key, certificate: parseCertificate(Buffer.from(key.certificate)) }]),
  );
  return {
    perform(operation) {
      const key = byId.get(operation.key);
      if (key === undefined) throw new FailureError(refused('the key is not in the file any more'));
      return perform(key, operation);
    },
  };
}

function perform(key: Key, operation: Operation): Buffer {
  switch (operation.kind) {
    case 'sign':
      return sign(key, operation);
    case 'decrypt': {
      requireAbility(key, operation.scheme.kind);
      const octets = decryptWithRsa(key.privateKey, operation.scheme, operation.encryptedKey);
      if (octets === null) throw new FailureError(decryptFailed('RSA'));
      return octets;
    }
    case 'agree':
      requireAbility(key, 'agree');
      return agree(key, operation.originator);
    case 'decapsulate':
      requireAbility(key, 'decapsulate');
      try {
        return decapsulate(key.privateKey, operation.ciphertext);
      } catch {
        throw new FailureError(decryptFailed('length of the ciphertext'));
      }
    default:
      return unreachable(operation);
  }
}

function sign(key: Key, { scheme, input, data }: Operation & { kind: 'sign' }): Buffer {
  if (!includesScheme(key.schemes, scheme)) throw new FailureError(refused(`scheme ${scheme.kind}`));
  if (input === 'digest') throw new FailureError(refused('a digest in place of the message'));
  const { digest, options } = cryptoParameters(scheme);
  try {
    return signMessage(digest, data, { key: key.privateKey, ...options });
  } catch (error) {
    throw new FailureError(refused(error instanceof Error ? error.message : String(error)));
  }
}

function requireAbility(key: Key, ability: OpeningAbility): void {
  if (!key.opens.includes(ability)) throw new FailureError(refused(`no key for ${ability}`));
}

/** null for anything that is not well-formed. PKCS#1 v1.5 gives random octets instead (implicit rejection). */
export function decryptWithRsa(
  key: KeyObject,
  scheme: KeyTransportScheme,
  encryptedKey: Uint8Array,
): Buffer | null {
  // RFC 8017 §7.1.2 step 1b, §7.2.2 step 1; OpenSSL takes shorter ones, so that one message had two encodings.
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (encryptedKey.length !== Math.ceil(bits / 8)) return null;
  try {
    switch (scheme.kind) {
      case 'rsa-pkcs1':
        return privateDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, encryptedKey);
      case 'rsa-oaep': {
        const { digest, maskDigest, label } = scheme;
        if (digest === maskDigest) {
          const padding = constants.RSA_PKCS1_OAEP_PADDING;
          const oaepLabel = Buffer.from(label);
          return privateDecrypt({ key, padding, oaepHash: digest, oaepLabel }, encryptedKey);
        }
        // node:crypto cannot be told a second digest for the mask.
        const encoded = privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, encryptedKey);
        return decodeOaep(encoded, digest, maskDigest, label);
      }
      default:
        return unreachable(scheme);
    }
  } catch {
    // Every reason is the same to the outside (RFC 3218).
    return null;
  }
}

function agree(key: Key, originator: Uint8Array): Buffer {
  try {
    const publicKey = readOriginatorKey(key.certificate, originator);
    // RFC 7748 §6.1: an all-zero result (a point of small order) is an error of OpenSSL's.
    return diffieHellman({ privateKey: key.privateKey, publicKey });
  } catch {
    throw new FailureError(decryptFailed('key agreement'));
  }
}

import { constants, type KeyObject, privateDecrypt } from 'node:crypto';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { KeyTransportScheme } from '../cms/keys.ts';
import { unreachable } from '../errors.ts';
import { decodeOaep } from './process/oaep.ts';

/**
 * A thread that decrypts with software RSA keys: node:crypto has no asynchronous form, and one operation would stop
 * the event loop for up to a millisecond.
 */

export const RSA_DECRYPTION_THREAD = 'sealgate-rsa-decryption-thread';

export type ToDecryptionThread =
  /** Sent once for each key; `decrypt` refers to it by `key`. */
  | { kind: 'key'; key: number; privateKey: KeyObject }
  | { kind: 'decrypt'; id: number; key: number; scheme: KeyTransportScheme; encryptedKey: Uint8Array };

/** null: it could not be decrypted; why is nobody's business. */
export type FromDecryptionThread = { id: number; octets: Uint8Array | null };

/** null for anything that is not well-formed. PKCS#1 v1.5 gives random octets instead (implicit rejection). */
export function decryptWithRsa(
  privateKey: KeyObject,
  scheme: KeyTransportScheme,
  encryptedKey: Uint8Array,
): Buffer | null {
  try {
    switch (scheme.kind) {
      case 'rsa-pkcs1':
        return privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_PADDING }, encryptedKey);
      case 'rsa-oaep': {
        if (scheme.digest === scheme.maskDigest) {
          return privateDecrypt(
            {
              key: privateKey,
              padding: constants.RSA_PKCS1_OAEP_PADDING,
              oaepHash: scheme.digest,
              oaepLabel: Buffer.from(scheme.label),
            },
            encryptedKey,
          );
        }
        // node:crypto cannot be told a second digest for the mask.
        const encoded = privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, encryptedKey);
        return decodeOaep(encoded, scheme.digest, scheme.maskDigest, scheme.label);
      }
      default:
        return unreachable(scheme);
    }
  } catch {
    // Every reason is the same to the outside (RFC 3218).
    return null;
  }
}

if (!isMainThread && workerData === RSA_DECRYPTION_THREAD && parentPort !== null) {
  const port = parentPort;
  const keys = new Map<number, KeyObject>();
  port.on('message', (message: ToDecryptionThread) => {
    switch (message.kind) {
      case 'key':
        keys.set(message.key, message.privateKey);
        return;
      case 'decrypt': {
        const key = keys.get(message.key);
        const octets = key === undefined ? null : decryptWithRsa(key, message.scheme, message.encryptedKey);
        const answer: FromDecryptionThread = { id: message.id, octets };
        port.postMessage(answer);
        return;
      }
      default:
        unreachable(message);
    }
  });
}

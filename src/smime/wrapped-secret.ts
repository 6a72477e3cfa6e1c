import { decrypt } from '../cms/decrypt.ts';
import { encrypt } from '../cms/encrypt.ts';
import { canTransportKeys } from '../cms/key-transport.ts';
import type { DecryptionKey } from '../cms/keys.ts';
import { isUnreadable } from '../cms/malformed.ts';
import type { Certificate } from '../pki/certificate.ts';

/**
 * A secret under one certificate (AuthEnvelopedData, RFC 5083): whoever wants it back has to use the private key. For this gateway's
 * own eyes, so it takes the best that the key can do: OAEP where it reads that, ML-KEM whatever mail is encrypted with.
 *
 * @param readsOaep of the key, as in DecryptionKey
 * @returns DER ContentInfo
 * @throws SealgateError `cms.unsupported-recipient`, `pki.unsupported-key`
 */
export function wrapSecret(secret: Buffer, certificate: Certificate, readsOaep: boolean): Promise<Buffer> {
  const isRsa = canTransportKeys(certificate);
  const recipient = isRsa && readsOaep ? { certificate, keyTransport: 'rsa-oaep' as const } : { certificate };
  return encrypt({
    ...{ content: secret, recipients: [recipient], algorithm: 'aes256-gcm' },
    postQuantum: true,
  });
}

/**
 * One use of the key. null: it was wrapped for another key, or is damaged.
 *
 * @throws SealgateError a key's temporary error (`key.unavailable`)
 */
export async function unwrapSecret(wrapped: Buffer, key: DecryptionKey): Promise<Buffer | null> {
  try {
    const opened = await decrypt(wrapped, [key]);
    return opened.outcome === 'opened' && opened.authenticated ? opened.content : null;
  } catch (error) {
    if (isUnreadable(error)) return null;
    throw error;
  }
}

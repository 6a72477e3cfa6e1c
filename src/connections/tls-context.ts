import { createSecureContext, type SecureContext } from 'node:tls';

/** PEM: certificate with chain, private key. */
export type TlsMaterial = { cert: string | Buffer; key: string | Buffer; passphrase?: string };

/**
 * What a listener shows to its clients.
 *
 * @param oldTls lets TLS 1.0 and 1.1 in, which RFC 8996 forbids, with the ciphers and digests that those need
 * @throws Error of OpenSSL for material that is none, or does not belong together
 */
export function tlsContext(material: TlsMaterial, oldTls: boolean): SecureContext {
  return createSecureContext(
    oldTls
      ? { ...material, minVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' }
      : { ...material, minVersion: 'TLSv1.2' },
  );
}

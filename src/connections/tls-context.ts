import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';

/** Whether clients are asked for a certificate. */
export type ClientCertificates = 'ignored' | 'asked';

/** PEM: certificate with chain, private key. */
export type TlsMaterial = { cert: string | Buffer; key: string | Buffer; passphrase?: string };

/**
 * What a listener shows to its clients. None of them renegotiates: it would be a handshake beyond those that are counted, as often as it
 * liked (Node bounds that for servers of its own alone), and TLS 1.3 has none.
 *
 * Where certificates are asked for no session is resumed: OpenSSL keeps only the client's own certificate of it, without those between that
 * and the authority, and without a name for such sessions it ends the handshake of everybody who comes a second time.
 *
 * @param oldTls lets TLS 1.0 and 1.1 in, which RFC 8996 forbids, with the ciphers and digests that those need
 * @throws Error of OpenSSL for material that is none, or does not belong together
 */
export function tlsContext(
  material: TlsMaterial,
  oldTls: boolean,
  certificates: ClientCertificates = 'ignored',
): SecureContext {
  const noTicket = certificates === 'asked' ? constants.SSL_OP_NO_TICKET : 0;
  const common = { ...material, secureOptions: constants.SSL_OP_NO_RENEGOTIATION | noTicket };
  return createSecureContext(
    oldTls
      ? { ...common, minVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' }
      : { ...common, minVersion: 'TLSv1.2' },
  );
}

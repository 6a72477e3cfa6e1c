import type { RereadableOctets, Spool, SpooledOctets } from '../octets/source.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { SharedSecrets } from './decrypt.ts';
import type { DecryptionKey } from './keys.ts';

/** `decrypt`'s outcomes, with the content in a spool; it is the caller's to discard. */
export type StreamDecryptOutcome = { algorithm: string; authenticated: boolean } & (
  | { outcome: 'opened'; content: SpooledOctets; contentType: string; recipient: Certificate | null }
  | { outcome: 'no-key' }
  | { outcome: 'failed' }
);

/**
 * `decrypt` for a message of any size. Nothing is given out before all of it was found good.
 *
 * @param source ContentInfo, BER or DER; read once for its structure and once for each key that may open it
 * @throws SealgateError as `decrypt`; the source's and the spool's own
 */
export function decryptStream(
  _source: RereadableOctets,
  _keys: readonly DecryptionKey[],
  _spool: Spool,
  _secrets: SharedSecrets = {},
): Promise<StreamDecryptOutcome> {
  throw new Error('not there yet');
}

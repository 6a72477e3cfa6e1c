import type { OctetStream } from '../octets/source.ts';
import type { EncryptRequest } from './encrypt.ts';

export type EncryptStreamRequest = Omit<EncryptRequest, 'content'> & {
  /** Exactly `contentOctets`; another number is an error while the result is read. */
  content: OctetStream;
  contentOctets: number;
};

/** DER ContentInfo of known length. It can be read once: a second reading throws, since a nonce must not meet two texts. */
export type EncryptedStream = { readonly length: number; readonly octets: OctetStream };

/**
 * `encrypt` for content of any size. All recipients are served before this resolves.
 *
 * @throws SealgateError as `encrypt`
 */
export function encryptStream(_request: EncryptStreamRequest): Promise<EncryptedStream> {
  throw new Error('not there yet');
}

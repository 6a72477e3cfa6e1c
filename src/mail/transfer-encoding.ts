import { release } from '../octets/release.ts';
import { borrowed } from '../octets/scan.ts';
import type { OctetSource, OctetStream, RereadableOctets } from '../octets/source.ts';
import { transformed } from '../octets/transform.ts';
import { Base64Decoder, decodeBase64 } from './base64.ts';
import type { Entity } from './entity.ts';
import { asBuffer } from './header.ts';
import { malformedEncoding } from './malformed-encoding.ts';
import { decodeQuotedPrintable, QuotedPrintableDecoder } from './quoted-printable.ts';

export { decodeBase64, encodeBase64 } from './base64.ts';
export { decodeQuotedPrintable, encodeQuotedPrintable } from './quoted-printable.ts';

/** Content-Transfer-Encoding (RFC 2045 §6). Decoders are strict: what is not in the grammar is an error. */

/** The decoded body of a leaf. Throws SealgateError `mail.malformed-encoding`, also for an encoding nobody declared. */
export function decodeBody(octets: Uint8Array, entity: Entity): Buffer {
  const body = asBuffer(octets).subarray(entity.body.start, entity.body.end);
  switch (entity.transferEncoding) {
    case '7bit':
    case '8bit':
    case 'binary':
      return body;
    case 'base64':
      return decodeBase64(body);
    case 'quoted-printable':
      return decodeQuotedPrintable(body);
    default:
      throw unknownEncoding();
  }
}

/**
 * `decodeBody` for a body of any size. What is read of it is for those who are done with a chunk before they ask for the next one:
 * then its memory is given back.
 *
 * @param body the leaf's encoded body
 * @throws SealgateError `mail.malformed-encoding` for an encoding nobody declared; for damage, while it is read
 */
export function decodedBody(body: OctetSource, transferEncoding: string): RereadableOctets {
  switch (transferEncoding) {
    case '7bit':
    case '8bit':
    case 'binary':
      return body;
    case 'base64':
      // The decoder keeps nothing of a chunk.
      return { read: () => lent(transformed(borrowed(body), new Base64Decoder())) };
    case 'quoted-printable':
      return { read: () => transformed(body.read(), new QuotedPrintableDecoder()) };
    default:
      throw unknownEncoding();
  }
}

/** Chunks that this stream alone has made. */
async function* lent(octets: OctetStream): OctetStream {
  for await (const chunk of octets) {
    yield chunk;
    release(chunk);
  }
}

function unknownEncoding(): Error {
  return malformedEncoding('the transfer encoding is not known');
}

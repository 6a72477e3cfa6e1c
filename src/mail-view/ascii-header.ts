import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { readHeader } from '../mail/header.ts';
import { safeField } from '../mail/header-encoding.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';

/**
 * The same message with octets beyond ASCII in its header encoded (RFC 2047, RFC 2231), for whoever has not said that it takes others
 * (RFC 6532, RFC 6531 §3.4). An address that is beyond ASCII itself has no other form, and stays.
 *
 * @throws SealgateError `mail.header-too-large`; the source's own
 */
export async function withAsciiHeader(message: OctetSource): Promise<OctetSource> {
  const most = Math.min(message.length, limits.mail.headerOctets + 2);
  const beginning = await collectFrom(message, 0, most);
  const { fields, range } = readHeader(beginning, 0, beginning.length);
  const written = fields.map((field) => {
    const raw = beginning.subarray(field.range.start, field.range.end);
    if (raw.every((octet) => octet < 0x80)) return raw;
    try {
      return safeField(beginning, field);
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      return raw;
    }
  });
  const header = Buffer.concat(written);
  if (header.equals(beginning.subarray(0, range.end))) return message;
  return joinedSource([bufferSource(header), sliceOf(message, range.end, message.length)]);
}

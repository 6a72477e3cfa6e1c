import { borrowed } from '../octets/scan.ts';
import type { OctetSource, OctetStream } from '../octets/source.ts';
import { Stuffing } from '../smtp/stuffing.ts';

export const FAULTY_LINES = 'a message with a bare CR or LF, or a line of NULs and a dot, must not be sent';

/**
 * A message as it goes over the wire after 354, the end of data included (RFC 5321 §4.5.2), in blocks that are only there until the
 * next one is asked for. It needs memory for a few of them, however long the message is.
 *
 * @throws what reading throws, and Error before the end of data where the message has a fault of line-faults.ts or is not as long as it says.
 */
export async function* inBlocks(message: OctetSource): OctetStream {
  const stuffing = new Stuffing();
  let octets = 0;
  for await (const chunk of borrowed(message)) {
    octets += chunk.length;
    const parts = stuffing.update(chunk);
    if (parts === null) throw new Error(FAULTY_LINES);
    const [only] = parts;
    if (only !== undefined) yield parts.length === 1 ? only : Buffer.concat(parts);
  }
  if (octets !== message.length) throw new Error('a message is not as long as it says');
  const end = stuffing.finish();
  if (end === null) throw new Error(FAULTY_LINES);
  yield end;
}

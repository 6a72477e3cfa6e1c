import { HeaderEnd } from '../mail-view/header-end.ts';
import type { OctetStream } from '../octets/source.ts';

const LF = 0x0a;

/** What TOP shows of a message (RFC 1939 §7): the header, the empty line and so many lines of the body. */
export async function* firstLines(message: OctetStream, lines: number): OctetStream {
  const header = new HeaderEnd();
  let inHeader = true;
  let left = lines;
  for await (const chunk of message) {
    let at = 0;
    if (inHeader) {
      at = header.in(chunk);
      if (at === -1) {
        yield chunk;
        continue;
      }
      inHeader = false;
    }
    while (left > 0 && at < chunk.length) {
      const end = chunk.indexOf(LF, at);
      if (end === -1) at = chunk.length;
      else {
        at = end + 1;
        left--;
      }
    }
    if (at > 0) yield chunk.subarray(0, at);
    if (left === 0) return;
  }
}

import { CarryingTransform, type Converted } from '../octets/transform.ts';

const CR = 0x0d;
const LF = 0x0a;

/**
 * Takes the blanks before CRLF, and those at the end, from canonical lines. For lines of bounded length: blanks wait until it is
 * known what follows them.
 */
export class LineEndsWithoutBlanks extends CarryingTransform {
  override convert(octets: Buffer, last: boolean): Converted {
    const out = Buffer.allocUnsafe(octets.length);
    const { length } = octets;
    let to = 0;
    let i = 0;
    while (i < length) {
      const octet = octets[i] ?? 0;
      if (octet !== 0x20 && octet !== 0x09) {
        out[to++] = octet;
        i++;
        continue;
      }
      let end = i;
      while (octets[end] === 0x20 || octets[end] === 0x09) end++;
      if (!last && (end === length || (octets[end] === CR && end + 1 === length))) break;
      if (end < length && !(octets[end] === CR && octets[end + 1] === LF)) to += octets.copy(out, to, i, end);
      i = end;
    }
    return { output: out.subarray(0, to), consumed: i };
  }
}

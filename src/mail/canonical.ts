import type { OctetTransform } from '../octets/transform.ts';
import { asBuffer } from './header.ts';

export { type Hazards, hazardsIn, isSafe, startsFrom } from './hazards.ts';

/** Canonical form of text: every line ends with CRLF (RFC 8551 §3.1.1, RFC 2046 §4.1.1). */

const CR = 0x0d;
const LF = 0x0a;

/**
 * Turns each LF without CR into CRLF. A lone CR is data and stays. The same buffer comes back when nothing is to do.
 *
 * @param preceding the octet before the first one; -1: there is none
 */
export function canonicalLines(octets: Uint8Array, preceding = -1): Buffer {
  const buffer = asBuffer(octets);
  let bare = 0;
  for (let at = buffer.indexOf(LF); at !== -1; at = buffer.indexOf(LF, at + 1)) {
    if ((at === 0 ? preceding : buffer[at - 1]) !== CR) bare++;
  }
  if (bare === 0) return buffer;
  const out = Buffer.allocUnsafe(buffer.length + bare);
  let to = 0;
  let before = preceding;
  for (let i = 0; i < buffer.length; i++) {
    const octet = buffer[i] ?? 0;
    if (octet === LF && before !== CR) out[to++] = CR;
    out[to++] = octet;
    before = octet;
  }
  return out;
}

/** `canonicalLines` for octets that come in chunks. */
export class CanonicalLines implements OctetTransform {
  #preceding = -1;

  update(octets: Buffer): Buffer {
    const lines = canonicalLines(octets, this.#preceding);
    this.#preceding = octets.at(-1) ?? this.#preceding;
    return lines;
  }

  finish(): Buffer {
    return Buffer.alloc(0);
  }
}

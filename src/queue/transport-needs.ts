import { HazardSearch } from '../mail/hazards.ts';
import { OctetSearch } from '../octets/octet-search.ts';
import { scan } from '../octets/scan.ts';
import type { OctetSource } from '../octets/source.ts';
import { NulBeforeDot } from '../smtp/line-faults.ts';

/** What a message asks of a server that takes it as it is. */
export type TransportNeeds = {
  /** It has a bare CR or LF: no server may have it (RFC 5321 §2.3.8). */
  bareLineEnd: boolean;
  /** A line begins with NULs and a dot: see line-faults.ts. */
  nulBeforeDot: boolean;
  /** Octets beyond ASCII or NUL: 8BITMIME (RFC 6152). */
  eightBit: boolean;
  /** The same in its header: SMTPUTF8 (RFC 6531 §3.4). */
  eightBitHeader: boolean;
};

const HEADER_END = Buffer.from('\r\n\r\n');

/** Looks through the message once, in constant memory. Throws what reading throws. */
export async function transportNeedsOf(message: OctetSource): Promise<TransportNeeds> {
  const whole = new HazardSearch();
  const header = new HazardSearch();
  const nuls = new NulBeforeDot();
  let nulBeforeDot = false;
  let offset = 0;
  let headerEnd: number | null = null;
  const search = new OctetSearch(HEADER_END, (at) => {
    headerEnd ??= at;
  });
  await scan(message, (octets) => {
    if (headerEnd === null) {
      search.update(octets);
      header.update(octets.subarray(0, Math.max(0, (headerEnd ?? offset + octets.length) - offset)));
    }
    whole.update(octets);
    if (octets.length > 0 && nuls.update(octets)) nulBeforeDot = true;
    offset += octets.length;
    return undefined;
  });
  const { bareLineEnd, eightBit } = whole.finish().hazards;
  return { bareLineEnd, nulBeforeDot, eightBit, eightBitHeader: header.finish().hazards.eightBit };
}

import { randomBytes } from 'node:crypto';

/**
 * Octets of chance for keys, nonces and initialisation vectors, drawn for many messages at a time: a call of `randomBytes` costs
 * as much as encrypting some kilobytes.
 *
 * Must never happen: octets given out twice. What was given out is wiped here.
 */
const DRAWN_OCTETS = 2_048;

let drawn = Buffer.alloc(0);
let used = 0;

export function freshOctets(count: number): Buffer {
  if (count > DRAWN_OCTETS) return randomBytes(count);
  if (count > drawn.length - used) {
    drawn = randomBytes(DRAWN_OCTETS);
    used = 0;
  }
  const octets = Buffer.from(drawn.subarray(used, used + count));
  drawn.fill(0, used, used + count);
  used += count;
  return octets;
}

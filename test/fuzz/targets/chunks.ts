import { createHash } from 'node:crypto';
import { Random } from '../random.ts';

/** The input cut into pieces by chance; the same pieces for the same input. Octet by octet where the input is short. */
export function chunksOf(input: Buffer): Buffer[] {
  const random = new Random(createHash('sha256').update(input).digest().readInt32LE());
  const most = random.pick([1, 2, 7, 100, 5_000]);
  // So that short pieces of a long input do not take all the time.
  const least = Math.ceil(input.length / 1_000);
  const chunks: Buffer[] = [];
  for (let at = 0; at < input.length; ) {
    const length = Math.max(least, 1 + random.int(most));
    chunks.push(input.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

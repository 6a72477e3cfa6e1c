/**
 * The smallest input found that still does it: pieces are left out, large ones first; then octets become plain.
 *
 * @param untilMs of `performance.now()`
 */
export async function minimise(
  input: Buffer,
  stillDoes: (candidate: Buffer) => Promise<boolean>,
  untilMs: number,
): Promise<Buffer> {
  let smallest = input;
  const inTime = (): boolean => performance.now() < untilMs;
  let size = 1 << Math.floor(Math.log2(Math.max(1, smallest.length)));
  while (size >= 1 && inTime()) {
    let removed = false;
    for (let at = 0; at < smallest.length && inTime(); ) {
      const candidate = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)]);
      if (candidate.length < smallest.length && (await stillDoes(candidate))) {
        smallest = candidate;
        removed = true;
      } else at += size;
    }
    if (!removed || size > 1) size = size > 1 ? size >> 1 : 0;
  }
  for (let at = 0; at < smallest.length && inTime(); at++) {
    if (smallest[at] === PLAIN) continue;
    const candidate = Buffer.from(smallest);
    candidate[at] = PLAIN;
    if (await stillDoes(candidate)) smallest = candidate;
  }
  return smallest;
}

const PLAIN = 0x61;

/**
 * Arithmetic on secret octets whose course does not depend on them: no branch, no index, no early exit. Truth is 1 and 0.
 *
 * Danger: JavaScript promises nothing about timing. What is here keeps small integers in plain integer operations, for which
 * the engine has no reason to choose by value; whoever changes it must keep it so.
 */

/** 1 where both are equal; for integers of up to 31 bits. */
export function equal(a: number, b: number): number {
  return isZero(a ^ b);
}

/** 1 for zero; for integers of up to 31 bits. */
export function isZero(value: number): number {
  return (value - 1) >>> 31;
}

/** 1 where `a < b`; for integers of up to 30 bits that are not negative. */
export function isLess(a: number, b: number): number {
  return (a - b) >>> 31;
}

/** `a` where `condition` is 1, else `b`. */
export function select(condition: number, a: number, b: number): number {
  return b ^ ((a ^ b) & -condition);
}

/**
 * The last `octets` octets of `block`, where `octets` is secret: they are brought to the front in steps that are always the
 * same. How many there are shows in the length of what is returned, and in nothing before.
 */
export function lastOctets(block: Uint8Array, octets: number): Buffer {
  const moved = Buffer.from(block);
  const distance = block.length - octets;
  for (let step = 1; step < block.length; step <<= 1) {
    const moving = isZero(distance & step) ^ 1;
    for (let i = 0; i + step < moved.length; i++) {
      moved[i] = select(moving, moved[i + step] ?? 0, moved[i] ?? 0);
    }
  }
  const result = Buffer.from(moved.subarray(0, octets));
  moved.fill(0);
  return result;
}

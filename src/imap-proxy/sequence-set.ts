/** Numbers that a client asks for, read once. */
export type Sequence = (number: number) => boolean;

/**
 * sequence-set = (seq-number / seq-range) ["," sequence-set] / "$" (RFC 9051 §9). Only for telling commands apart: what `*` and
 * `$` stand for is not known here, so they take in everything that they may mean.
 */
export function readSequence(set: string): Sequence {
  if (set === '$') return () => true;
  const ranges = set.split(',').map((range): [number, number] => {
    const [one = '', other = one] = range.split(':');
    const [from, to] = [one, other].map((end) => (end === '*' ? Number.POSITIVE_INFINITY : Number(end)));
    const [a = 0, b = 0] = [from, to];
    // `*` is the highest number there is, which may be below the other end (§9, seq-range).
    if (one === '*' && other === '*') return [1, Number.POSITIVE_INFINITY];
    return [Math.min(a, b), Math.max(a, b)];
  });
  return (number) => ranges.some(([from, to]) => from <= number && number <= to);
}

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hasBareLineEnd, stuffed } from '../../src/smtp/dot-stuffing.ts';
import { Stuffing } from '../../src/smtp/stuffing.ts';

const nasty = fc
  .array(fc.constantFrom('\r\n', '.', 'a', '\r', '\n', '\r\n.', '..', '\r\n.\r\n', 'text'), { maxLength: 24 })
  .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));
const cuts = fc.array(fc.nat(60), { maxLength: 12 });

/** What came out before a bare line end was noticed, and the end; null: there is none. */
function inChunks(octets: Buffer, at: readonly number[]): { out: Buffer; end: Buffer | null } {
  const stuffing = new Stuffing();
  const out: Buffer[] = [];
  let from = 0;
  for (const cut of [...new Set([...at].sort((a, b) => a - b)), octets.length]) {
    const chunk = octets.subarray(from, cut);
    if (chunk.length === 0) continue;
    from = cut;
    out.push(...(stuffing.update(chunk) ?? []));
  }
  return { out: Buffer.concat(out), end: stuffing.finish() };
}

test('in chunks comes out what comes out of the whole, wherever the chunks end', () => {
  fc.assert(
    fc.property(nasty, cuts, (octets, at) => {
      const whole = stuffed(octets);
      const { out, end } = inChunks(octets, at);
      if (whole === null) expect(end).toBeNull();
      else expect(Buffer.concat([out, end ?? Buffer.alloc(0)])).toEqual(Buffer.concat(whole));
    }),
    { numRuns: 1_000 },
  );
});

test('nothing of a bare line end, and nothing behind it, comes out', () => {
  fc.assert(
    fc.property(nasty, cuts, (octets, at) => {
      const { out } = inChunks(octets, at);
      expect(hasBareLineEnd(out)).toBe(false);
    }),
    { numRuns: 1_000 },
  );
});

test('a chunk behind a bare line end brings nothing back', () => {
  const stuffing = new Stuffing();
  expect(stuffing.update(Buffer.from('a\nb'))).toBeNull();
  expect(stuffing.update(Buffer.from('c\r\n'))).toBeNull();
  expect(stuffing.finish()).toBeNull();
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stuffed } from '../../src/smtp/dot-stuffing.ts';
import { hasBareLineEnd, hasNulBeforeDot } from '../../src/smtp/line-faults.ts';
import { Stuffing } from '../../src/smtp/stuffing.ts';

const nasty = fc
  .array(fc.constantFrom('\r\n', '.', 'a', '\r', '\n', '\r\n.', '..', '\r\n.\r\n', 'text', '\0', '\r\n\0.'), {
    maxLength: 24,
  })
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

test('nothing of a bare line end or of a dot behind NULs, and nothing behind it, comes out', () => {
  fc.assert(
    fc.property(nasty, cuts, (octets, at) => {
      const { out } = inChunks(octets, at);
      expect(hasBareLineEnd(out)).toBe(false);
      expect(hasNulBeforeDot(out)).toBe(false);
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

test('a server that drops NULs is not given the end of data that it would read there', () => {
  for (const text of ['a\r\n\0.\r\nMAIL FROM:<x@example.org>\r\n', '\0\0.\r\n']) {
    expect(stuffed(Buffer.from(text))).toBeNull();
    for (let cut = 0; cut <= text.length; cut++) {
      expect(inChunks(Buffer.from(text), [cut]).end).toBeNull();
    }
  }
  expect(stuffed(Buffer.from('a\0.\r\n'))).not.toBeNull();
});

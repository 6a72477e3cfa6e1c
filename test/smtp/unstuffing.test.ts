import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MessageCollector } from '../../src/smtp/dot-stuffing.ts';
import { hasBareLineEnd, hasNulBeforeDot, LineFaults } from '../../src/smtp/line-faults.ts';
import { Unstuffing } from '../../src/smtp/unstuffing.ts';

const pieces = fc.array(
  fc.constantFrom('a', '.', '..', '\r\n', '\r\n.', '\r', '\n', '\r\n.\r\n', '\r\n.\r', '\0', '\0.', '\xff'),
  { maxLength: 24 },
);

function cutAt(octets: Buffer, at: readonly number[]): Buffer[] {
  const cuts = at.filter((cut) => cut < octets.length).sort((a, b) => a - b);
  return [0, ...cuts].map((from, i) => octets.subarray(from, cuts[i] ?? octets.length));
}

const everyOctet = (octets: Buffer) => Array.from(octets, (_, i) => i).slice(1);

/** What comes out and what is left; null where data does not end. `octets` are Latin-1. */
function unstuffed(chunks: readonly Buffer[]): { octets: string; rest: string } | null {
  const unstuffing = new Unstuffing();
  let octets = '';
  for (const [index, chunk] of chunks.entries()) {
    const out = unstuffing.update(chunk);
    octets += out.octets.toString('latin1');
    if (out.rest !== null) {
      return { octets, rest: Buffer.concat([out.rest, ...chunks.slice(index + 1)]).toString('latin1') };
    }
  }
  return null;
}

function faultOf(chunks: readonly Buffer[]): string | null {
  const faults = new LineFaults();
  for (const chunk of chunks) {
    const fault = faults.update(chunk);
    if (fault !== null) return fault;
  }
  return faults.finish();
}

test('property: what comes out of a stream is what is collected, whatever the chunks', () => {
  fc.assert(
    fc.property(pieces, fc.array(fc.nat(60), { maxLength: 6 }), (parts, at) => {
      const octets = Buffer.from(parts.join(''), 'latin1');
      const collector = new MessageCollector(10_000);
      const outcome = collector.push(octets);
      for (const way of [[], at, everyOctet(octets)]) {
        const got = unstuffed(cutAt(octets, way));
        expect(got?.rest).toBe(outcome.kind === 'end' ? outcome.rest.toString('latin1') : undefined);
      }
      if (outcome.kind !== 'end') return;
      const message = collector.collected();
      if (message.kind === 'message') {
        for (const way of [[], at, everyOctet(octets)]) {
          expect(unstuffed(cutAt(octets, way))?.octets).toBe(message.octets.toString('latin1'));
        }
      } else {
        const got = Buffer.from(unstuffed([octets])?.octets ?? '', 'latin1');
        expect(faultOf([got])).toBe('bare-line-end');
      }
    }),
    { numRuns: 2_000 },
  );
});

test('property: a fault is found whatever the chunks, and none where there is none', () => {
  fc.assert(
    fc.property(pieces, fc.array(fc.nat(60), { maxLength: 6 }), (parts, at) => {
      const octets = Buffer.from(parts.join(''), 'latin1');
      const bare = hasBareLineEnd(octets);
      const found = [[], at, everyOctet(octets)].map((way) => faultOf(cutAt(octets, way)));
      if (!bare) expect(found).toEqual(found.map(() => (hasNulBeforeDot(octets) ? 'nul-before-dot' : null)));
      else for (const each of found) expect(each).not.toBeNull();
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  ['\0.\r\n', true],
  ['a\r\n\0\0.\r\n', true],
  ['a\r\n\0\r\n.\r\n', false],
  ['a\r\n\0b.\r\n', false],
  ['a\0.\r\n', false],
  ['a\r\n.\0\r\n', false],
])('a server that drops NULs must not see the end of data in %j: %s', (text, isRefused) => {
  const octets = Buffer.from(text, 'latin1');
  expect(hasNulBeforeDot(octets)).toBe(isRefused);
  for (const way of [[], everyOctet(octets)]) {
    expect(faultOf(cutAt(octets, way))).toBe(isRefused ? 'nul-before-dot' : null);
  }
});

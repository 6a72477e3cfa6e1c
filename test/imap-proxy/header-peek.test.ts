import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HeaderPeek } from '../../src/imap-proxy/header-peek.ts';

type Seen = { header: string; rest: string; whole: boolean };

/** What is seen of a message in such pieces; what comes behind the header's piece is the rest. */
function seen(pieces: readonly string[], limit: number): Seen {
  const peek = new HeaderPeek(limit);
  for (const [at, piece] of pieces.entries()) {
    const found = peek.push(Buffer.from(piece, 'latin1'), at === pieces.length - 1);
    if (found === null) continue;
    const [header, rest] = [found.header.toString('latin1'), found.rest.toString('latin1')];
    return { header, rest: rest + pieces.slice(at + 1).join(''), whole: found.whole };
  }
  throw new Error('the last piece gives nothing');
}

test.each<[limit: number, message: string, header: string, whole: boolean]>([
  [8, 'a: b\r\n\r\nbody', 'a: b\r\n\r\n', true],
  [7, 'a: b\r\n\r\nbody', 'a: b\r\n\r', false],
  [6, 'a: b\n\nbody', 'a: b\n\n', true],
  [5, 'a: b\n\nbody', 'a: b\n', false],
  [9, 'a: b\r\nc:', 'a: b\r\nc:', true],
  [8, 'a: b\r\nc:', 'a: b\r\nc:', true],
  [7, 'a: b\r\nc:', 'a: b\r\nc', false],
  [5, '\r\nbody', '\r\n', true],
])('of %i octets of %j it sees %j', (limit, message, header, whole) => {
  expect(seen([message], limit)).toEqual({ header, rest: message.slice(header.length), whole });
  expect(seen([...message], limit)).toEqual({ header, rest: message.slice(header.length), whole });
});

test('attack: however the octets are cut, what is taken for the header is the same', () => {
  const piece = fc.string({ unit: fc.constantFrom('a', ':', '\r', '\n', '\r\n'), maxLength: 8 });
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 40 }),
      (pieces, limit) => {
        expect(seen(pieces, limit)).toEqual(seen([pieces.join('')], limit));
      },
    ),
    { numRuns: 2_000 },
  );
});

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { Framer, type FramerSide } from '../../src/imap-proxy/framer.ts';

/** All events in short: lines as they are, literals joined. */
function frame(side: FramerSide, chunks: readonly Buffer[], limit = 65_536): string[] {
  const framer = new Framer(side, limit);
  const events: string[] = [];
  let literal = '';
  for (const chunk of chunks) {
    framer.push(chunk);
    for (let event = framer.next(); event !== null; event = framer.next()) {
      if (event.type === 'line') {
        events.push(`${event.first ? 'first' : 'more'} ${event.octets.toString('latin1')}`);
        continue;
      }
      literal += event.octets.toString('latin1');
      if (event.remaining > 0) continue;
      events.push(`literal ${literal}`);
      literal = '';
    }
  }
  expect(framer.buffered).toBe(0);
  return events;
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

const SERVER = [
  '* 1 FETCH (UID 1 BODY[] {27}\r\n',
  'x{12}\r\n* 1 EXPUNGE\r\nt1 OK\r\n',
  ' FLAGS (\\Seen) BODY[1] {0}\r\n',
  ')\r\n',
  '* OK a text that ends like a literal {5}\r\n',
  '+ go on {7}\r\n',
  't1 OK done {9}\r\n',
  '* LIST () "/" {3}\r\n',
  'a\r\n',
  '\r\n',
].join('');

const SERVER_EVENTS = [
  'first * 1 FETCH (UID 1 BODY[] {27}\r\n',
  'literal x{12}\r\n* 1 EXPUNGE\r\nt1 OK\r\n',
  'more  FLAGS (\\Seen) BODY[1] {0}\r\n',
  'more )\r\n',
  'first * OK a text that ends like a literal {5}\r\n',
  'first + go on {7}\r\n',
  'first t1 OK done {9}\r\n',
  'first * LIST () "/" {3}\r\n',
  'literal a\r\n',
  'more \r\n',
];

test('a conversation is cut the same way, split at every position, in single octets and at random', () => {
  const octets = latin1(SERVER);
  expect(frame('server', [octets])).toEqual(SERVER_EVENTS);
  for (let at = 0; at <= octets.length; at++) {
    expect(frame('server', [octets.subarray(0, at), octets.subarray(at)])).toEqual(SERVER_EVENTS);
  }
  expect(
    frame(
      'server',
      [...octets].map((octet) => Buffer.from([octet])),
    ),
  ).toEqual(SERVER_EVENTS);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: octets.length }), { maxLength: 20 }), (cuts) => {
      const places = [0, ...cuts.sort((a, b) => a - b), octets.length];
      const chunks = places.slice(1).map((end, index) => octets.subarray(places[index], end));
      expect(frame('server', chunks)).toEqual(SERVER_EVENTS);
    }),
    { numRuns: 200 },
  );
});

test('RFC 7888: synchronising and non-synchronising literals of a client, in any command', () => {
  expect(frame('client', [latin1('a LOGIN {3}\r\nbob {4+}\r\nse\r\n\r\nb NOOP\r\n')])).toEqual([
    'first a LOGIN {3}\r\n',
    'literal bob',
    'more  {4+}\r\n',
    'literal se\r\n',
    'more \r\n',
    'first b NOOP\r\n',
  ]);
});

test('a quoted string that ends like a literal is none', () => {
  expect(frame('client', [latin1('a LOGIN bob "x{5}"\r\n')])).toEqual(['first a LOGIN bob "x{5}"\r\n']);
  expect(frame('server', [latin1('* LIST () "/" "x{5}"\r\n')])).toEqual(['first * LIST () "/" "x{5}"\r\n']);
});

test('a lone LF of a client is a line end, and is made CRLF', () => {
  expect(frame('client', [latin1('a NOOP\nb LOGIN {1}\nx y\n')])).toEqual([
    'first a NOOP\r\n',
    'first b LOGIN {1}\r\n',
    'literal x',
    'more  y\r\n',
  ]);
});

test.each<[string, FramerSide, string]>([
  ['a lone CR from a client', 'client', 'a NOOP\rb LOGOUT\r\n'],
  ['a NUL from a client', 'client', 'a NOOP\0\r\n'],
  ['a lone LF from a server', 'server', '* OK hi\n'],
  ['an unfinished quoted string before a size', 'client', 'a LOGIN "x {5}\r\n'],
  ['an escaped quote before a size', 'client', 'a LOGIN "x\\" {5}\r\n'],
  ['a size beyond 32 bits', 'client', 'a LOGIN {4294967296}\r\n'],
  ['a flood of zeros', 'client', 'a LOGIN {00000000005}\r\n'],
  ['a non-synchronising literal from a server', 'server', '* LIST () "/" {3+}\r\n'],
  ['a line over the limit', 'client', `a ${'x'.repeat(200)}\r\n`],
  ['a line over the limit without an end', 'client', 'x'.repeat(200)],
])('attack: %s is an error', (_, side, text) => {
  expect(() => frame(side, [latin1(text)], 100)).toThrow(/cannot be followed/);
});

test('any octets give events or an error, never a hang, and no octet twice', () => {
  const pieces = fc.constantFrom(
    '{3}',
    '{3+}',
    '~{2}',
    '\r\n',
    '\n',
    '* ',
    'OK ',
    '"',
    '\\',
    'abc',
    '(',
    ')',
    '+ ',
    '{',
    '}',
  );
  fc.assert(
    fc.property(
      fc.array(pieces, { maxLength: 60 }),
      fc.constantFrom<FramerSide>('client', 'server'),
      (parts, side) => {
        const octets = latin1(parts.join(''));
        const framer = new Framer(side, 1_000);
        framer.push(octets);
        let given = 0;
        try {
          for (let event = framer.next(); event !== null; event = framer.next()) given += event.octets.length;
        } catch (error) {
          expect(String(error)).toMatch(/cannot be followed/);
          return;
        }
        // A client's lone LF grows to CRLF.
        if (side === 'server') expect(given + framer.buffered).toBe(octets.length);
        expect(given + framer.buffered).toBeGreaterThanOrEqual(octets.length);
      },
    ),
    { numRuns: 500 },
  );
});

test.each([1, 3_000])('a line that comes octet by octet, behind %i others, is looked at once', (before) => {
  const framer = new Framer('client', 65_536);
  let looked = 0;
  const indexOf = Buffer.prototype.indexOf;
  const look = vi.spyOn(Buffer.prototype, 'indexOf').mockImplementation(function (this: Buffer, ...how) {
    if (how[0] === 0x0a) looked += this.length - Number(how[1] ?? 0);
    return indexOf.apply(this, how);
  });
  framer.push(Buffer.alloc(before, 'y'));
  const octets = 12_000;
  for (let i = 0; i < octets; i++) {
    framer.push(latin1(i === octets - 2 ? '\r' : i === octets - 1 ? '\n' : 'x'));
    const event = framer.next();
    if (i < octets - 1) expect(event).toBeNull();
    else
      expect(event).toMatchObject({ octets: latin1(`${'y'.repeat(before)}${'x'.repeat(octets - 2)}\r\n`) });
  }
  look.mockRestore();
  expect(looked).toBe(before + octets);
});

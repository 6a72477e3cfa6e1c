import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MessageCollector, stuffed } from '../../src/smtp/dot-stuffing.ts';
import { hasBareLineEnd } from '../../src/smtp/line-faults.ts';

/** What is collected, and what is left behind the end of data; null where data does not end. */
function collect(octets: Buffer, cuts: readonly number[], max = 1_000): { got: string; rest: string } | null {
  const collector = new MessageCollector(max);
  let from = 0;
  for (const cut of [...cuts, octets.length]) {
    const chunk = octets.subarray(from, cut);
    from = cut;
    const outcome = collector.push(chunk);
    if (outcome.kind === 'more') continue;
    const rest = Buffer.concat([outcome.rest, octets.subarray(cut)]).toString('latin1');
    const collected = collector.collected();
    return { got: collected.kind === 'message' ? collected.octets.toString('latin1') : collected.kind, rest };
  }
  return null;
}

const everyOctet = (octets: Buffer) => Array.from(octets, (_, i) => i).slice(1);

test.each([
  ['a\r\n.\r\n', 'a\r\n', ''],
  ['.\r\n', '', ''],
  ['..\r\n.\r\n', '.\r\n', ''],
  ['a\r\n..b\r\n...\r\n.\r\nQUIT\r\n', 'a\r\n.b\r\n..\r\n', 'QUIT\r\n'],
  // A dot that is not doubled goes, as RFC 5321 §4.5.2 has it.
  ['.a\r\n.b\r\n.\r\n', 'a\r\nb\r\n', ''],
  ['\r\n.\r\n.\r\n', '\r\n', '.\r\n'],
])('RFC 5321 §4.5.2: %j is the message %j', (sent, got, rest) => {
  const octets = Buffer.from(sent, 'latin1');
  for (const cuts of [[], everyOctet(octets)]) expect(collect(octets, cuts)).toEqual({ got, rest });
});

const smuggled = 'MAIL FROM:<a@b>\r\n';

test.each([
  ['\n.\n'],
  ['\n.\r\n'],
  ['\r\n.\n'],
  ['\r.\r'],
  ['\r.\r\n'],
  ['\r\n.\r'],
  ['\r.\n'],
  ['\n.\r'],
  ['\n\n.\r\n'],
  ['\r\r\n.\r'],
  ['\r\n\x00.\r\n\n'],
])('SMTP smuggling: %j does not end data, and the message is refused', (sequence) => {
  const octets = Buffer.from(`a${sequence}${smuggled}b\r\n.\r\nQUIT\r\n`, 'latin1');
  for (const cuts of [[], everyOctet(octets)]) {
    expect(collect(octets, cuts)).toEqual({ got: 'bare-line-end', rest: 'QUIT\r\n' });
  }
});

test('a bare CR before the end of data is one as well', () => {
  expect(collect(Buffer.from('a\r\r\n.\r\nQUIT\r\n'), [])).toEqual({
    got: 'bare-line-end',
    rest: 'QUIT\r\n',
  });
});

test('the size counts without stuffing and without the end of data', () => {
  const line = '..12345\r\n';
  const octets = Buffer.from(`${line.repeat(10)}.\r\n`);
  expect(collect(octets, [], 80)?.got.length).toBe(80);
  expect(collect(octets, [], 79)?.got).toBe('too-large');
  const dots = Buffer.from(`${'..\r\n'.repeat(300)}.\r\n`);
  expect(collect(dots, everyOctet(dots), 900)?.got.length).toBe(900);
  expect(collect(dots, [], 899)?.got).toBe('too-large');
});

test('what is too large is not kept, and its end is still found', () => {
  const collector = new MessageCollector(1_000);
  const chunk = Buffer.from('x'.repeat(8_190).concat('\r\n'));
  for (let i = 0; i < 100; i++) expect(collector.push(chunk).kind).toBe('more');
  expect(collector.push(Buffer.from('.\r\nNOOP\r\n'))).toEqual({
    kind: 'end',
    rest: Buffer.from('NOOP\r\n'),
  });
  expect(collector.collected()).toEqual({ kind: 'too-large' });
});

// Written anew, octet by octet, to have something to compare with.
function reference(text: string): string | null {
  const end = `\r\n${text}`.indexOf('\r\n.\r\n');
  if (end === -1) return null;
  const body = text.slice(0, end);
  if (/(^|[^\r])\n|\r(?!\n)/.test(body)) return 'bare-line-end';
  return body.replace(/(^|\r\n)\./g, '$1');
}

const pieces = fc.array(
  fc.constantFrom('a', '.', '..', '\r\n', '\r\n', '\r\n.', '\r', '\n', '\r\n.\r\n', '\0', '\xff'),
  {
    maxLength: 24,
  },
);

test('property: any cutting of the segments gives what an octet-by-octet reading gives', () => {
  fc.assert(
    fc.property(pieces, fc.array(fc.nat(60), { maxLength: 6 }), (parts, at) => {
      const text = parts.join('');
      const octets = Buffer.from(text, 'latin1');
      const expected = reference(text);
      const cuts = at.filter((cut) => cut < octets.length).sort((a, b) => a - b);
      for (const way of [[], cuts, everyOctet(octets)])
        expect(collect(octets, way)?.got ?? null).toBe(expected);
    }),
    { numRuns: 1_000 },
  );
});

test('property: what is sent comes out at the other end', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('a', '.', '..', '\r\n', '\r\n.', '\xff'), { maxLength: 24 }),
      (parts) => {
        const text = parts.join('');
        const wire = stuffed(Buffer.from(text, 'latin1'));
        const ended = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
        expect(collect(Buffer.concat(wire ?? []), [])).toEqual({ got: ended, rest: '' });
      },
    ),
    { numRuns: 500 },
  );
});

test('a message with a bare CR or LF is never sent', () => {
  for (const text of ['a\nb\r\n', 'a\rb\r\n', '\n', '\r', 'a\r\n\r', 'x\r\n.\n']) {
    expect(stuffed(Buffer.from(text))).toBeNull();
  }
});

test('a bare line end is a CR or LF that stands alone, in long lines and short', () => {
  const piece = fc.constantFrom(
    '\r\n',
    '\r\n',
    '\r\n',
    'a',
    '.',
    'a line that is longer than short ones are, on average',
  );
  const flaw = fc.constantFrom('', '\r', '\n', '\n\r');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), flaw, fc.array(piece), (before, alone, after) => {
      const text = [...before, alone, ...after].join('');
      const isBare = /[\r\n]/.test(text.replaceAll('\r\n', ''));
      expect(hasBareLineEnd(Buffer.from(text, 'latin1'))).toBe(isBare);
    }),
    { numRuns: 1_000 },
  );
});

test('bare line ends are found wherever the search is cut into windows', () => {
  for (let at = 16_380; at < 16_390; at++) {
    const clean = Buffer.from(`${'x'.repeat(at)}\r\n${'y'.repeat(20_000)}`);
    expect(hasBareLineEnd(clean)).toBe(false);
    for (const octet of [10, 13]) {
      const bare = Buffer.from(clean);
      bare[octet === 10 ? at : at + 1] = 0x78;
      expect(hasBareLineEnd(bare)).toBe(true);
    }
  }
});

test('a message that comes octet by octet takes about as much memory as it has octets', () => {
  const collector = new MessageCollector(1_000_000);
  setFlagsFromString('--expose-gc');
  const collectGarbage: () => void = runInNewContext('gc');
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 100_000; i++) collector.push(Buffer.from('a'));
  collectGarbage();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(4_000_000);
  collector.push(Buffer.from('\r\n.\r\n'));
  expect(collector.collected()).toEqual({
    kind: 'message',
    octets: Buffer.from(`${'a'.repeat(100_000)}\r\n`),
  });
});

test('what came without a fault leaves as it came, whatever cut it; what did not is looked at', () => {
  const line = fc.constantFrom('a', '..', '.a', '', 'b.', '\0', '\0.', '.\0', 'x'.repeat(40), 'é');
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.infiniteStream(fc.nat(9)), (lines, cuts) => {
      const sent = Buffer.from(`${lines.map((each) => `${each}\r\n`).join('')}.\r\n`, 'utf8');
      const collector = new MessageCollector(1_000);
      let from = 0;
      for (let ended = false; !ended; ) {
        const to = Math.min(sent.length, from + 1 + (cuts.next().value ?? 0));
        ended = collector.push(sent.subarray(from, to)).kind === 'end';
        from = to;
      }
      const collected = collector.collected();
      if (collected.kind !== 'message') throw new Error(collected.kind);
      // A copy is one of which nothing is known.
      const looked = stuffed(Buffer.from(collected.octets));
      const known = stuffed(collected.octets);
      expect(known === null ? null : Buffer.concat(known)).toEqual(
        looked === null ? null : Buffer.concat(looked),
      );
    }),
  );
});

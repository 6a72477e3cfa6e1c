import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import type { Entity } from '../../src/mail/entity.ts';
import { readEntity, readMessage } from '../../src/mail/entity-tree.ts';
import { sevenBitSafe } from '../../src/mail/seven-bit-safe.ts';
import { readByPython, treeOf } from './python-email.ts';

function message(lines: string[]): Buffer {
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

function read(lines: string[]): { octets: Buffer; root: Entity; bodies: string[] } {
  const octets = message(lines);
  const { root } = readMessage(octets);
  return { octets, root, bodies: root.parts.map((part) => text(octets, part)) };
}

function text(octets: Buffer, entity: Entity): string {
  return octets.toString('latin1', entity.body.start, entity.body.end);
}

const MIXED = 'Content-Type: multipart/mixed; boundary=b';

describe('rows of blanks', () => {
  it('inside a header cost no more than other octets', () => {
    // Removing blanks at an end took the square of their number: minutes, for headers of the longest length.
    const blanks = ' '.repeat(limits.mail.headerOctets - 1_000);
    for (const field of [
      `Content-Type: multipart/mixed; boundary="a${blanks}b"`,
      `Content-Type: text/plain; x="a${blanks}b" `,
      `Content-Transfer-Encoding: a${blanks}b`,
      `Subject: a${blanks}b `,
    ]) {
      const octets = Buffer.from(`${field}\r\n\r\nbody\r\n`);
      expect(readMessage(octets).root.parts).toEqual([]);
      expect(sevenBitSafe(octets).length).toBeGreaterThan(limits.mail.headerOctets - 1_000);
    }
  });
});

describe('boundaries (RFC 2046 §5.1.1)', () => {
  it('keeps an empty part between an inner and an outer boundary line inside its multipart', () => {
    for (const lineEnd of ['\r\n', '\n']) {
      const lines = [MIXED, '', '--b', 'Content-Type: multipart/mixed; boundary=c', '', '--c', '--b--', ''];
      const { root } = readMessage(Buffer.from(lines.join(lineEnd)));
      const [inner] = root.parts;
      const [empty] = inner?.parts ?? [];
      expect(inner?.parts.length).toBe(1);
      expect(empty?.range).toEqual({ start: inner?.range.end, end: inner?.range.end });
    }
  });

  it('gives the line end before a boundary to the boundary, and the range of a part to what is signed', () => {
    const { octets, root } = read([
      MIXED,
      '',
      'pre',
      '--b',
      'X-A: 1',
      '',
      'one',
      '',
      '--b--',
      'epilogue',
      '',
    ]);
    const [part] = root.parts;
    expect(part && octets.toString('latin1', part.range.start, part.range.end)).toBe('X-A: 1\r\n\r\none\r\n');
    expect(part && text(octets, part)).toBe('one\r\n');
    expect(root.range).toEqual({ start: 0, end: octets.length });
  });

  it('sees a boundary line followed by blanks', () => {
    expect(read([MIXED, '', '--b \t', '', 'one', '--b\t', '', 'two', '--b-- ', '']).bodies).toEqual([
      'one',
      'two',
    ]);
  });

  it('does not take a longer line for a boundary that is its prefix', () => {
    expect(
      read([MIXED, '', '--b', '', '--bb', '--b-', '--b--x', '--b', '', 'two', '--b--', '']).bodies,
    ).toEqual(['--bb\r\n--b-\r\n--b--x', 'two']);
  });

  it('reads nested multiparts whose boundaries are prefixes of each other', () => {
    const { octets, root } = read([
      MIXED,
      '',
      '--b',
      'Content-Type: multipart/mixed; boundary="bb"',
      '',
      '--bb',
      '',
      'inner',
      '--bb--',
      '--b',
      '',
      'outer',
      '--b--',
      '',
    ]);
    expect(root.parts.map((part) => part.parts.length)).toEqual([1, 0]);
    const [first, second] = root.parts;
    expect(first?.parts[0] && text(octets, first.parts[0])).toBe('inner');
    expect(second && text(octets, second)).toBe('outer');
  });

  it('lets the outer boundary end an inner multipart that is not closed', () => {
    const { root, octets } = read([
      MIXED,
      '',
      '--b',
      'Content-Type: multipart/mixed; boundary=i',
      '',
      '--i',
      '',
      'inner',
      '--b',
      '',
      'next',
      '--i',
      '',
      'not inner',
      '--b--',
      '',
    ]);
    expect(root.parts.length).toBe(2);
    expect(root.parts[1] && text(octets, root.parts[1])).toBe('next\r\n--i\r\n\r\nnot inner');
  });

  it('lets no inner multipart reuse the boundary around it', () => {
    const { root } = read([MIXED, '', '--b', MIXED, '', '--b', '', 'x', '--b--', '']);
    expect(root.parts.length).toBe(2);
    expect(root.parts.every((part) => part.parts.length === 0)).toBe(true);
  });

  it('goes to the end where the closing boundary is missing', () => {
    expect(read([MIXED, '', '--b', '', 'one', '--b', '', 'two', '']).bodies).toEqual(['one', 'two\r\n']);
  });

  it('takes nothing after the closing boundary for a part', () => {
    expect(read([MIXED, '', '--b', '', 'one', '--b--', '--b', '', 'two', '--b--', '']).bodies).toEqual([
      'one',
    ]);
  });

  it('ends the header of a part at a boundary', () => {
    const { root, octets } = read([
      MIXED,
      '',
      '--b',
      'Content-Type: text/html',
      '--b',
      '',
      'two',
      '--b--',
      '',
    ]);
    expect(root.parts.map((part) => text(octets, part))).toEqual(['', 'two']);
    expect(root.parts[0]?.mediaType.subtype).toBe('html');
  });

  it('reads stored mail whose lines end with LF', () => {
    const octets = Buffer.from(`${MIXED}\n\n--b\n\none\n--b--\n`);
    const { root } = readMessage(octets);
    expect(root.parts.map((part) => text(octets, part))).toEqual(['one']);
  });
});

describe('fields said twice or in a way readers disagree on', () => {
  it.each([
    ['two Content-Type fields', ['Content-Type: multipart/mixed; boundary=b', 'content-type: text/plain']],
    ['two boundaries', ['Content-Type: multipart/mixed; boundary=b; boundary=c']],
    [
      'a boundary and its RFC 2231 form',
      ["Content-Type: multipart/mixed; boundary=b; boundary*=us-ascii''c"],
    ],
    ['a comment', ['Content-Type: multipart/mixed; boundary=(c)b']],
    ['an open quote', ['Content-Type: multipart/mixed; boundary="b']],
    ['a lone CR', ['Content-Type: multipart/mixed;\rboundary=b']],
    ['NUL', ['Content-Type: multipart/mixed; boundary="b\0"']],
    ['words after the boundary', ['Content-Type: multipart/mixed; boundary=b c']],
  ])('finds no parts with %s', (_, fields) => {
    const { root } = read([...fields, '', '--b', '', 'one', '--b--', '']);
    expect(root.parts).toEqual([]);
    expect(root.declared).toBe(false);
    expect(root.mediaType.type).toBe('text');
  });

  it('joins a boundary in RFC 2231 pieces', () => {
    const { bodies } = read([
      'Content-Type: multipart/mixed; boundary*1="="; boundary*0=b',
      '',
      '--b=',
      '',
      'one',
      '--b=--',
      '',
    ]);
    expect(bodies).toEqual(['one']);
  });

  it('calls contradicting transfer encodings unknown', () => {
    const { root } = read(['Content-Transfer-Encoding: base64', 'Content-Transfer-Encoding: 7bit', '', 'x']);
    expect(root.transferEncoding).toBe('unknown');
  });
});

describe('bounds', () => {
  it('refuses parts nested beyond the limit', () => {
    let octets = '';
    for (let i = 0; i <= limits.mail.depth + 1; i++) {
      octets += `Content-Type: multipart/mixed; boundary=n${i}x\r\n\r\n--n${i}x\r\n`;
    }
    expect(() => readMessage(Buffer.from(octets))).toThrow(
      expect.objectContaining({ code: 'mail.too-complex' }),
    );
  });

  it('refuses more parts than the limit', () => {
    const octets = Buffer.from(`${MIXED}\r\n\r\n${'--b\r\n\r\n'.repeat(limits.mail.entities + 1)}`);
    expect(() => readMessage(octets)).toThrow(expect.objectContaining({ code: 'mail.too-complex' }));
  });

  it('refuses a header beyond the limit, of a part too', () => {
    const long = `X: ${'x'.repeat(limits.mail.headerOctets)}`;
    const code = expect.objectContaining({ code: 'mail.header-too-large' });
    expect(() => readMessage(message([long, '', '']))).toThrow(code);
    expect(() => readMessage(message([MIXED, '', '--b', long, '', 'x']))).toThrow(code);
  });

  it('reads any number of fields within that limit, and a bounded number of all parts together', () => {
    const fields = limits.mail.headerOctets / 2 - 40;
    const header = `${MIXED}\r\n${'x\n'.repeat(fields)}\r\n`;
    expect(readMessage(Buffer.from(header)).root.fields).toHaveLength(fields + 1);
    const part = `--b\r\n${'x\n'.repeat(200)}\r\n`;
    const parts = Buffer.from(`${MIXED}\r\n\r\n${part.repeat(limits.mail.treeFields / 200 + 1)}`);
    expect(() => readMessage(parts)).toThrow(expect.objectContaining({ code: 'mail.too-complex' }));
    const plan = Buffer.from(`Content-Type: message/rfc822\r\n\r\n${parts.toString()}`);
    expect(() => sevenBitSafe(plan)).toThrow(expect.objectContaining({ code: 'mail.too-complex' }));
  });
});

/** A MIME tree that may be nested in ways no composer would: text lines that look like boundaries, unclosed insides. */
function entity(depth: number): fc.Arbitrary<string[]> {
  const line = fc.constantFrom(
    'text',
    '',
    '--',
    '--c',
    '--a-',
    '--aa',
    '--b--x',
    '--b b',
    ' --a',
    'X: y',
    '=20',
  );
  const leaf = fc
    .tuple(fc.constantFrom<string[]>([], ['Content-Type: text/html']), fc.array(line, { maxLength: 4 }))
    .map(([header, body]) => [
      ...header,
      '',
      'body',
      // An empty line after what may turn out a boundary: parsers differ on headers that are none, and may.
      ...body.flatMap((each) => (each.startsWith('--') ? [each, ''] : [each])),
    ]);
  if (depth === 0) return leaf;
  const nested = fc
    .record({
      boundary: fc.constantFrom('a', 'aa', 'b', 'c', 'a--', 'b-'),
      pad: fc.constantFrom('', ' ', ' \t'),
      quoted: fc.boolean(),
      preamble: fc.array(fc.constantFrom('pre', ''), { maxLength: 2 }),
      parts: fc.array(entity(depth - 1), { minLength: 1, maxLength: 3 }),
      closed: fc.boolean(),
    })
    .map(({ boundary, pad, quoted, preamble, parts, closed }) => [
      `Content-Type: multipart/mixed; boundary=${quoted ? `"${boundary}"` : boundary}`,
      '',
      ...preamble,
      ...parts.flatMap((part) => [`--${boundary}${pad}`, ...part]),
      ...(closed ? [`--${boundary}--${pad}`, '', 'epilogue'] : ['']),
    ]);
  return fc.oneof({ weight: 1, arbitrary: leaf }, { weight: 2, arbitrary: nested });
}

const tree = fc
  .array(entity(3), { minLength: 1, maxLength: 3 })
  .map((parts) =>
    message([
      'Content-Type: multipart/mixed; boundary="root"',
      '',
      ...parts.flatMap((part) => ['--root', ...part]),
      '--root--',
      '',
    ]),
  );

describe('against other parsers', () => {
  it("finds the parts where python's email package finds them", () => {
    const messages = fc.sample(tree, { numRuns: 1_500, seed: 20_461 });
    const theirs = readByPython(messages);
    for (const [index, octets] of messages.entries()) {
      expect(treeOf(octets, readMessage(octets).root), octets.toString()).toEqual(theirs[index]);
    }
  });

  it('finds the attachments mailparser finds', async () => {
    const payloads = ['one', 'two\r\nlines', 'three\r\n', '--bb', 'From me'];
    const octets = message([
      'From: a@example.com',
      MIXED,
      '',
      'preamble',
      ...payloads.flatMap((payload) => ['--b', 'Content-Type: application/octet-stream', '', payload]),
      '--b--',
      '',
    ]);
    const parsed = await simpleParser(octets);
    expect(parsed.attachments.map((each) => each.content.toString())).toEqual(payloads);
    const { root } = readMessage(octets);
    expect(root.parts.map((part) => text(octets, part))).toEqual(payloads);
  });
});

describe('ranges', () => {
  const check = (octets: Buffer, each: Entity, outer: { start: number; end: number }): void => {
    for (const range of [each.range, each.header, each.body]) {
      expect(range.start).toBeGreaterThanOrEqual(outer.start);
      expect(range.end).toBeLessThanOrEqual(outer.end);
      expect(range.end).toBeGreaterThanOrEqual(range.start);
    }
    let at = each.header.start;
    for (const { range } of each.fields) {
      expect(range.start).toBe(at);
      at = range.end;
    }
    expect(at).toBe(each.header.end);
    let from = each.body.start;
    for (const part of each.parts) {
      check(octets, part, { start: from, end: each.body.end });
      from = part.range.end;
    }
  };

  it('lie in the octets, in their parents and in order, whatever the octets are', () => {
    const word = fc.constantFrom(
      '--b',
      '--b--',
      '\r\n',
      '\n',
      '\r',
      'Content-Type: ',
      MIXED,
      ':',
      ' ',
      'x',
      '\0',
      'é',
    );
    fc.assert(
      fc.property(fc.oneof(fc.array(word, { maxLength: 40 }), fc.array(fc.string())), (words) => {
        const octets = Buffer.from(words.join(''), 'latin1');
        const { root } = readMessage(octets);
        check(octets, root, { start: 0, end: octets.length });
        expect(root.range).toEqual({ start: 0, end: octets.length });
      }),
      { numRuns: 500 },
    );
  });

  it('are the same for an entity read in the middle of something else', () => {
    fc.assert(
      fc.property(tree, (octets) => {
        const around = Buffer.concat([Buffer.from('--root\r\n'), octets, Buffer.from('\r\n--root--')]);
        const moved = readEntity(around, { start: 8, end: 8 + octets.length });
        expect(treeOf(around, moved)).toEqual(treeOf(octets, readEntity(octets)));
      }),
      { numRuns: 100 },
    );
  });
});

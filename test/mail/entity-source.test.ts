import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { readEntityFrom, readRootFrom } from '../../src/mail/entity-source.ts';
import { readEntity } from '../../src/mail/entity-tree.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { countedTurns } from '../octets/support/counted-turns.ts';
import { inChunks, mailOctets } from './support/streams.ts';

/** What reading gives, errors included. */
async function outcomeOf<T>(read: () => T | Promise<T>): Promise<T | string> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SealgateError) return error.code;
    throw error;
  }
}

const same = async (octets: Buffer, sizes: readonly number[]): Promise<void> => {
  const whole = await outcomeOf(() => readEntity(octets));
  expect(await outcomeOf(() => readEntityFrom(inChunks(octets, sizes)))).toEqual(whole);
};

describe('the entity tree of a source', () => {
  it('is that of the same octets in memory, wherever the chunks end', async () => {
    await fc.assert(
      fc.asyncProperty(mailOctets, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), same),
      { numRuns: 1_000 },
    );
  });

  it('is the same for each way to cut a boundary line, a line end and an empty line in two', async () => {
    const octets = Buffer.from(
      'Content-Type: multipart/mixed;\r\n boundary=b\r\n\r\npre\r\n--b \r\n\r\none\r\n--bb\r\n--b\r\nX: y\r\n--b--\t\r\nepi\r\n--b\r\n',
    );
    for (let cut = 1; cut < octets.length; cut++) await same(octets, [cut, octets.length]);
  });

  it('is the same where octets in memory are looked at bit by bit', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(mailOctets, { minLength: 5 }), fc.nat(20_000), async (pieces, before) => {
        const some = Buffer.concat([
          Buffer.from('Content-Type: multipart/mixed; boundary=a\r\n\r\n'),
          ...pieces,
        ]);
        const octets = Buffer.concat([Buffer.from(`X: ${'y'.repeat(before)}\r\n`), ...Array(20).fill(some)]);
        const range = { start: before % 50, end: octets.length - (before % 70) };
        const { slice } = countedTurns();
        const whole = await outcomeOf(() => readEntity(octets, range));
        expect(await outcomeOf(() => readEntityFrom(bufferSource(octets), range, undefined, slice))).toEqual(
          whole,
        );
      }),
      { numRuns: 300 },
    );
  });

  it('attack: very many parts are looked at bit by bit, and none of them very often', async () => {
    const octets = Buffer.from(
      `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\n'.repeat(limits.mail.entities - 1)}`,
    );
    const { slice, turns } = countedTurns();
    await readEntityFrom(bufferSource(octets), undefined, undefined, slice);
    expect(turns()).toBeGreaterThan(3);
    const long = Buffer.from(`X: ${'y'.repeat(limits.mail.headerOctets - 10)}\r\n\r\n`);
    const other = countedTurns();
    await readEntityFrom(bufferSource(long), undefined, undefined, other.slice);
    // A header that is not there whole is read again when there is twice as much.
    expect(other.turns()).toBeLessThan(8);
  });

  it('is the same in the middle of something else', async () => {
    await fc.assert(
      fc.asyncProperty(mailOctets, fc.nat(300), fc.nat(300), async (octets, a, b) => {
        const start = Math.min(a, b, octets.length);
        const range = { start, end: Math.min(octets.length, Math.max(a, b)) };
        const whole = await outcomeOf(() => readEntity(octets, range));
        expect(await outcomeOf(() => readEntityFrom(inChunks(octets, [7]), range))).toEqual(whole);
      }),
    );
  });

  it('has the same bounds', async () => {
    const { headerOctets, entities, boundaryLineOctets, treeHeaderOctets } = limits.mail;
    const mixed = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n';
    const field = `X: ${'y'.repeat(60_000)}\r\n`;
    const cases = {
      'a header line without end': `X: ${'y'.repeat(headerOctets + 10_000)}`,
      'a header as large as allowed': `X: ${'y'.repeat(headerOctets - 5)}\r\n\r\nbody`,
      'a header larger by one': `X: ${'y'.repeat(headerOctets - 4)}\r\n\r\nbody`,
      'too many parts': mixed + '--b\r\n\r\n'.repeat(entities + 1),
      'too large a header of a part': `${mixed}--b\r\n${field.repeat(5)}`,
      'too large headers together': `${mixed}${`--b\r\n${field.repeat(4)}\r\n`.repeat(treeHeaderOctets / 240_000 + 1)}`,
      'a long boundary line': `${mixed}--b${' '.repeat(boundaryLineOctets - 5)}\r\n\r\nx\r\n--b--`,
      'too long a boundary line': `${mixed}--b${' '.repeat(boundaryLineOctets)}\r\n\r\nx`,
      'too long a boundary line in a header': `${mixed}--b\r\nX: y\r\n--b${' '.repeat(300_000)}\r\n`,
      'a long line that begins like a boundary line': `${mixed}--b${'x'.repeat(300_000)}\r\n--b\r\n\r\nx`,
    };
    const outcomes: Record<string, string> = {};
    for (const [name, text] of Object.entries(cases)) {
      const octets = Buffer.from(text);
      const whole = await outcomeOf(() => readEntity(octets));
      for (const sizes of [[1_000], [65_536], [octets.length], [300_001, 5]]) {
        expect(await outcomeOf(() => readEntityFrom(inChunks(octets, sizes)))).toEqual(whole);
      }
      outcomes[name] = typeof whole === 'string' ? whole : 'read';
    }
    expect(outcomes).toEqual({
      'a header line without end': 'mail.header-too-large',
      'a header as large as allowed': 'read',
      'a header larger by one': 'mail.header-too-large',
      'too many parts': 'mail.too-complex',
      'too large a header of a part': 'mail.header-too-large',
      'too large headers together': 'mail.too-complex',
      'a long boundary line': 'read',
      'too long a boundary line': 'mail.too-complex',
      'too long a boundary line in a header': 'mail.too-complex',
      'a long line that begins like a boundary line': 'read',
    });
  });
});

describe('the root alone', () => {
  it('is the root of the tree without parts, and no octet after the header and one chunk is read', async () => {
    const header = 'From: a@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n';
    const octets = Buffer.from(`${header}--b\r\n\r\n${'x'.repeat(200_000)}\r\n--b--\r\n`);
    let read = 0;
    const source = bufferSource(octets);
    const root = await readRootFrom({
      length: octets.length,
      async *read(start, end) {
        for await (const chunk of source.read(start, end)) {
          read += chunk.length;
          yield chunk;
        }
      },
    });
    expect(root).toEqual({ ...readEntity(octets), parts: [] });
    expect(read).toBe(65_536);
  });
});

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sliceOf } from '../../src/octets/buffer-source.ts';
import { openFileSource } from '../../src/octets/file-source.ts';
import { joinedSource } from '../../src/octets/joined-source.ts';
import { OctetSearch } from '../../src/octets/octet-search.ts';
import { borrowed, scan } from '../../src/octets/scan.ts';
import { collect, inChunks } from '../mail/support/streams.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-octets-'));
});
afterAll(() => rm(folder, { recursive: true }));

const octets = Buffer.from(Array.from({ length: 900_001 }, (_, i) => (i * 31 + (i >> 8)) & 255));

async function scanned(source: Parameters<typeof scan>[0], start?: number, end?: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await scan(source, (piece) => void pieces.push(Buffer.from(piece)), start, end);
  return Buffer.concat(pieces);
}

describe('a file as a source', () => {
  it('gives any part of it, in chunks or to be looked at, several readers at the same time', async () => {
    const path = join(folder, 'source');
    await writeFile(path, octets);
    const source = await openFileSource(path);
    expect(source.length).toBe(octets.length);
    const ranges = [
      [0, octets.length],
      [5, 5],
      [65_535, 65_537],
      [262_143, 262_145],
      [300_000, 900_001],
    ] as const;
    await Promise.all(
      ranges.map(async ([start, end]) => {
        const expected = octets.subarray(start, end);
        expect((await collect(source.read(start, end))).equals(expected)).toBe(true);
        expect((await scanned(source, start, end)).equals(expected)).toBe(true);
        const lent: Buffer[] = [];
        for await (const chunk of borrowed(sliceOf(source, start, end))) lent.push(Buffer.from(chunk));
        expect(Buffer.concat(lent).equals(expected)).toBe(true);
        expect((await collect(sliceOf(source, start, end).read(0, end - start))).equals(expected)).toBe(true);
      }),
    );
    for await (const chunk of source.read()) expect(chunk.length).toBeLessThanOrEqual(65_536);
    let seen = 0;
    const look = (piece: Buffer): 'stop' | undefined => {
      seen += piece.length;
      return seen > 300_000 ? 'stop' : undefined;
    };
    expect(await scan(source, look)).toBe('stop');
    expect(seen).toBeLessThan(octets.length);
    await source.close();
  });

  it('says that a file became shorter, and what else goes wrong', async () => {
    const path = join(folder, 'shorter');
    await writeFile(path, octets);
    const source = await openFileSource(path);
    await writeFile(path, octets.subarray(0, 1_000));
    await expect(collect(source.read())).rejects.toThrow('shorter');
    await expect(scanned(source)).rejects.toThrow('shorter');
    await source.close();
    await expect(openFileSource(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

it('sources that are joined are one, from any place to any other', async () => {
  const text = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array));
  await fc.assert(
    fc.asyncProperty(fc.array(text, { maxLength: 5 }), fc.nat(60), fc.nat(60), async (parts, a, b) => {
      const whole = Buffer.concat(parts);
      const joined = joinedSource(parts.map((part) => inChunks(part, [3])));
      const [start, end] = [Math.min(a, b, whole.length), Math.min(Math.max(a, b), whole.length)];
      expect(joined.length).toBe(whole.length);
      expect(await collect(joined.read(start, end))).toEqual(whole.subarray(start, end));
      expect(await scanned(joined, start, end)).toEqual(whole.subarray(start, end));
    }),
  );
});

it('a pattern is found wherever the chunks end, each time once, with the octet before it', () => {
  const letters = fc.array(fc.constantFrom('a', 'b'), { maxLength: 40 }).map((all) => all.join(''));
  const pattern = fc
    .array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 6 })
    .map((all) => all.join(''));
  fc.assert(
    fc.property(
      letters,
      pattern,
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (text, wanted, sizes) => {
        const found: [number, number][] = [];
        const search = new OctetSearch(Buffer.from(wanted), (at, before) => found.push([at, before]));
        for (let at = 0, i = 0; at < text.length; i++) {
          const next = at + (sizes[i % sizes.length] ?? 1);
          search.update(Buffer.from(text.slice(at, next)));
          at = next;
        }
        const expected: [number, number][] = [];
        for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + 1)) {
          expected.push([at, at === 0 ? -1 : text.charCodeAt(at - 1)]);
        }
        expect(found.sort(([a], [b]) => a - b)).toEqual(expected);
      },
    ),
    { numRuns: 1_000 },
  );
});
